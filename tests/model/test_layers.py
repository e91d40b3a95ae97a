from functools import partial

import pytest
import torch

from p2s.model.layers import BatchNorm, group_norm
from p2s.train.processes import together
from tests.support import ranked


@pytest.mark.parametrize("group_width", [2, 8])
@pytest.mark.parametrize("channels", [1, 2, 3, 6, 7, 16, 20, 24, 25, 48, 64, 96, 256, 2048])
def test_groups_divide_the_channels_and_are_no_narrower_than_asked(channels, group_width):
    norm = group_norm(channels, group_width)
    assert channels % norm.num_groups == 0
    assert channels // norm.num_groups >= min(group_width, channels)
    assert norm.num_groups == 32 or channels % (32 * group_width)


def test_batch_normalisation_in_one_process_is_torchs_to_the_bit():
    ours, torchs = BatchNorm(3), torch.nn.BatchNorm2d(3)
    for maps in torch.rand(2, 4, 3, 6, 5, generator=torch.Generator().manual_seed(0)):
        assert torch.equal(ours(maps), torchs(maps))
    assert torch.equal(ours.eval()(maps), torchs.eval()(maps))
    kept, wanted = ours.state_dict(), torchs.state_dict()
    assert kept.keys() == wanted.keys() and all(torch.equal(kept[k], wanted[k]) for k in kept)


def test_batch_normalisation_of_two_ranks_is_that_of_all_their_maps(tmp_path):
    ranked.normalise(tmp_path)
    together(partial(ranked.normalise, tmp_path), 2)
    names = ("0 of 1", "0 of 2", "1 of 2")
    whole, *both = (torch.load(tmp_path / name, weights_only=True) for name in names)
    numbers = 4 * 6 * 5
    for kind, atol in ((torch.float32, 2e-5), (torch.bfloat16, 2e-2)):
        maps = torch.stack([one[f"{kind}"] for one in both], 1).flatten(0, 1)
        assert maps.dtype == kind
        torch.testing.assert_close(maps, whole[f"{kind}"], atol=atol, rtol=0)
        for one in both:
            torch.testing.assert_close(one[f"{kind}, running_mean"], whole[f"{kind}, running_mean"])
            unbiased = 0.9 + (one[f"{kind}, running_var"] - 0.9) * numbers / (numbers - 1)
            torch.testing.assert_close(unbiased, whole[f"{kind}, running_var"])
