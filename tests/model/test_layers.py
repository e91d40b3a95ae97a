import pytest

from p2s.model.layers import group_norm


@pytest.mark.parametrize("group_width", [2, 8])
@pytest.mark.parametrize("channels", [1, 2, 3, 6, 7, 16, 20, 24, 25, 48, 64, 96, 256, 2048])
def test_groups_divide_the_channels_and_are_no_narrower_than_asked(channels, group_width):
    norm = group_norm(channels, group_width)
    assert channels % norm.num_groups == 0
    assert channels // norm.num_groups >= min(group_width, channels)
    assert norm.num_groups == 32 or channels % (32 * group_width)
