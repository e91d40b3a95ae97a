"""Weights files: what is read is what was written, and whatever is wrong names the file."""

import os
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
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
    ".pkl": lambda content, path: path.write_bytes(pickled(content)),
}


def pickled(content, protocol=pickle.HIGHEST_PROTOCOL):
    return pickle.dumps({name: value.numpy() for name, value in content.items()}, protocol)


class Runs:
    """A thing whose pickle calls a function when it is read."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.fixture(params=WRITERS)
def file(request, tmp_path):
    path = tmp_path / f"weights{request.param}"
    WRITERS[request.param](ONE, path)
    return path


def test_every_format_is_read_as_it_was_written(file):
    found = weights.read_weights(file, weights.WITH_ARRAYS)
    assert found.keys() == ONE.keys()
    assert all(torch.equal(torch.as_tensor(found[name]), value) for name, value in ONE.items())


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_are_read_from_every_protocol(tmp_path, protocol):
    content = OrderedDict(a=np.arange(6.0).reshape(2, 3).T, b=np.float32(2), c=[np.arange(3)])
    (tmp_path / "w.pkl").write_bytes(pickle.dumps({"model": content}, protocol))
    found = weights.read_weights(tmp_path / "w.pkl", weights.WITH_ARRAYS)["model"]
    assert found["b"] == 2 and np.array_equal(found["a"], content["a"])
    assert np.array_equal(found["c"][0], content["c"][0])


@pytest.mark.parametrize("suffix", [".pkl", ".pth", ".pt"])
@pytest.mark.parametrize("protocol", [0, 2, pickle.HIGHEST_PROTOCOL])
def test_code_in_a_file_is_refused_and_never_run(tmp_path, suffix, protocol):
    path, written = tmp_path / f"w{suffix}", tmp_path / "written"
    for thing in (
        Runs(os.system, f"touch {written}"),
        Runs(eval, f"open({str(written)!r}, 'w')"),
        Runs(getattr, Path(written), "touch"),
        Runs(np.load, str(written)),
    ):
        content = {"a": torch.zeros(2).numpy(), "b": thing}
        if suffix == ".pkl":
            path.write_bytes(pickle.dumps(content, protocol))
        else:
            torch.save(content, path)
        with pytest.raises(ValueError, match=f"{path.name}: not a readable weights file") as told:
            weights.read_weights(path, weights.WITH_ARRAYS)
        assert len(str(told.value).splitlines()) == 1 and not written.exists()


@pytest.mark.parametrize(
    "content", [b"", b"junk", b"hello world, no weights", bytes(99), b"\xff\xd8"]
)
def test_junk_is_told_in_one_line_that_names_the_file(file, content):
    file.write_bytes(content)
    with pytest.raises(ValueError, match=f"{file.name}: not a readable weights file: ") as told:
        weights.read_weights(file, weights.WITH_ARRAYS)
    assert len(str(told.value).splitlines()) == 1 and "weights_only" not in str(told.value)


def test_half_a_file_is_told_too(file):
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=f"{file.name}: not a readable .*") as told:
        weights.read_weights(file, weights.WITH_ARRAYS)
    assert len(str(told.value).splitlines()) == 1


def test_what_is_no_dict_is_no_weights_file(tmp_path):
    torch.save([1], tmp_path / "list.pt")
    with pytest.raises(ValueError, match="list.pt: not a readable .* holds a list"):
        weights.read_weights(tmp_path / "list.pt")


def test_a_pickle_is_opened_only_where_it_is_trusted(tmp_path):
    with pytest.raises(ValueError, match="w.pkl: unknown format; valid: .pt, .pth, .safetensors$"):
        weights.read_weights(tmp_path / "w.pkl")


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
