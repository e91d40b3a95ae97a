"""Weights files: what is read is what was written, and whatever is wrong names the file."""

import os
import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from p2s.model import weights

ONE = {"a": torch.arange(300.0), "b": torch.zeros(2, 3)}
WRITERS = {
    ".pt": torch.save,
    ".pth": torch.save,
    ".safetensors": save_file,
    ".pkl": lambda content, path: path.write_bytes(pickle.dumps(arrays(content))),
}


def arrays(content):
    return {name: value.numpy() for name, value in content.items()}


class Touch:
    """What a pickle may hold: a call that writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.fixture(params=WRITERS)
def file(request, tmp_path):
    path = tmp_path / f"weights{request.param}"
    WRITERS[request.param](ONE, path)
    return path


def test_every_format_is_read_as_it_was_written(file):
    found = weights.read_weights(file)
    assert found.keys() == ONE.keys()
    assert all(torch.equal(torch.as_tensor(found[name]), ONE[name]) for name in ONE)


@pytest.mark.parametrize(
    "content", [b"", b"junk", b"hello world, no weights", bytes(99), b"\xff\xd8"]
)
def test_junk_is_told_in_one_line_that_names_the_file(file, content):
    file.write_bytes(content)
    with pytest.raises(ValueError, match=f"{file.name}: not a readable weights file: ") as told:
        weights.read_weights(file)
    assert len(str(told.value).splitlines()) == 1 and "weights_only" not in str(told.value)


def test_half_a_file_is_told_too(file):
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=f"{file.name}: not a readable .*") as told:
        weights.read_weights(file)
    assert len(str(told.value).splitlines()) == 1


def test_what_is_no_dict_is_no_weights_file(tmp_path):
    torch.save([1], tmp_path / "list.pt")
    with pytest.raises(ValueError, match="list.pt: not a readable .* holds a list"):
        weights.read_weights(tmp_path / "list.pt")


def test_an_unknown_format_is_told_with_those_that_are_known(tmp_path):
    with pytest.raises(
        ValueError, match="w.npz: unknown .*; valid: .pkl, .pt, .pth, .safetensors$"
    ):
        weights.read_weights(tmp_path / "w.npz")


@pytest.mark.parametrize("suffix", [".pkl", ".pt", ".pth"])
def test_a_file_that_would_run_code_is_refused_and_runs_nothing(tmp_path, suffix):
    path, trace = tmp_path / f"w{suffix}", tmp_path / "trace"
    write = torch.save if suffix != ".pkl" else lambda v, p: p.write_bytes(pickle.dumps(v))
    write({"a": Touch(trace)}, path)
    refused = rf"{path.name}: not a readable weights file: .*it would run (os|posix|nt).system \("
    with pytest.raises(ValueError, match=refused) as told:
        weights.read_weights(path)
    assert len(str(told.value).splitlines()) == 1 and not trace.exists()


def test_the_same_pickle_runs_where_it_is_trusted(tmp_path):
    pickle.loads(pickle.dumps(Touch(tmp_path / "trace")))  # or the test above could not fail
    assert (tmp_path / "trace").exists()


def test_metadata_is_that_of_the_file(tmp_path):
    save_file(ONE, tmp_path / "a.safetensors", {"training_id": "t"})
    save_file(ONE, tmp_path / "b.safetensors")
    assert weights.metadata(tmp_path / "a.safetensors") == {"training_id": "t"}
    assert weights.metadata(tmp_path / "b.safetensors") == {}


def test_only_weights_that_fit_are_filled_in():
    model, other = nn.Linear(2, 3), nn.Linear(2, 3)
    weights.fill(model, other.state_dict(), "w.pt")
    assert torch.equal(model.weight, other.weight)
    shape = (
        r"w.pt does not fit its Spec: 1 of another shape \(first: weight is \(3, 9\), not \(3, 2\)"
    )
    with pytest.raises(ValueError, match=shape):
        weights.fill(model, nn.Linear(9, 3).state_dict(), "w.pt")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_floats_of_another_length_are_read_as_ours(dtype):
    model, other = nn.Linear(2, 3), nn.Linear(2, 3)
    given = {name: value.to(dtype) for name, value in other.state_dict().items()}
    weights.fill(model, given, "w.pt")
    assert torch.equal(model.weight, given["weight"].float())


@pytest.mark.parametrize(
    "dtype", [torch.int64, torch.bool, torch.complex64, torch.float8_e5m2, torch.int8]
)
def test_numbers_of_another_kind_are_no_weights(dtype):
    model = nn.Linear(2, 3)
    given = {name: torch.ones_like(value).to(dtype) for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=f"w.pt .* 2 of another type .first: weight is {dtype}"):
        weights.fill(model, given, "w.pt")


def test_a_number_that_is_too_large_for_ours_is_not_finite():
    with pytest.raises(ValueError, match="w.pt: a: not finite, as 1 of 1"):
        weights.require_finite("w.pt", {"a": torch.tensor([1e300], dtype=torch.float64)})


def test_a_list_of_one_list_many_times_over_is_no_tensor(tmp_path):
    numbers = []
    for _ in range(40):
        numbers = [numbers, numbers]
    with pytest.raises(ValueError, match=r"w.pkl: .*a: a list .valid: an array of numbers"):
        weights.as_tensors(tmp_path / "w.pkl", {"a": numbers})
