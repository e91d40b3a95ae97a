"""Opcodes: no pickle makes more than befits its size, whatever a reader would do with it."""

import io
import pickle
import struct
import zipfile

import pytest
import torch

from p2s.model.opcodes import Opcodes
from p2s.model.weights import read_weights
from tests.support.malformed import require_told

NUMBER = b"J" + struct.pack("<i", 2**31 - 1)
LETTERS = b"X" + struct.pack("<I", 10**5) + b"x" * 10**5
COPY = b"c_codecs\nencode\nh\x01X\x06\x00\x00\x00latin1\x86R"
BOMBS = {  # what they put on the stack beside a dict, and what is told
    "memo": (b"Nr" + struct.pack("<I", 2**27), "index 134217728 in its memo"),
    "pairs": (b"N\x85" + b"2\x86" * 40, "an opcode DUP"),
    "pairs of the memo": (b"N\x85" + b"q\x01h\x01\x86" * 40, "repeats itself"),
    "depth": (b"N" + b"\x85" * 10**6, "more than 500 deep"),
    "copies": (LETTERS + b"q\x01(" + COPY * 10**5 + b"t", "repeats itself"),
    "sets": (b"]q\x01(" + b"N" * 10**5 + b"e(" + b"h\x01" * 10**4 + b"t", "repeats itself"),
    "marks": (b"(N\x86", "takes what is not there"),
}
CALLS = ["builtins\nbytearray", "torch\nFloatTensor", "torch.storage\nUntypedStorage"]


def pkl(path, content):
    path.with_suffix(".pkl").write_bytes(content)
    return path.with_suffix(".pkl")


def zipped(path, content):
    with zipfile.ZipFile(path.with_suffix(".pt"), "w") as file:
        file.writestr("a/data.pkl", content)
        file.writestr("a/version", "3\n")
    return path.with_suffix(".pt")


def older(path, content):
    parts = [pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {})]
    path.with_suffix(".pth").write_bytes(b"".join([*parts, content, pickle.dumps([], 2)]))
    return path.with_suffix(".pth")


@pytest.mark.parametrize("write", [pkl, zipped, older])
@pytest.mark.parametrize("name", BOMBS)
def test_what_grows_beyond_its_file_is_refused_soon(tmp_path, write, name):
    content, told = BOMBS[name]
    path = write(tmp_path / "w", b"\x80\x02}" + content + b"Ns.")
    require_told(lambda: read_weights(path), path.name, told)


@pytest.mark.parametrize("write", [zipped, older])
@pytest.mark.parametrize("name", CALLS)
def test_nothing_is_called_that_a_number_makes_large(tmp_path, write, name):
    made = b"\x80\x02}N" + f"c{name}\n".encode() + NUMBER + b"\x85Rs."
    path = write(tmp_path / "w", made)
    require_told(lambda: read_weights(path), f"{path.name}.*would run {name.split()[0]}.")


def test_an_older_file_has_all_its_storages(tmp_path):
    path = tmp_path / "w.pth"
    torch.save({"a": torch.ones(3)}, path, _use_new_zipfile_serialization=False)
    sound = path.read_bytes()
    assert torch.equal(read_weights(path)["a"], torch.ones(3))
    path.write_bytes(sound[: sound.rindex(b"\x80\x02]")] + pickle.dumps([], 2))
    require_told(lambda: read_weights(path), "w.pth: .*storage .* is not in it")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_file_is_left_at_the_end_of_a_pickle(protocol):
    shared = ("a", 0.9)
    content = pickle.dumps({"groups": [{"betas": shared, 3: -(10**30)}] * 5000}, protocol)
    file = io.BytesIO(content + b"more")
    Opcodes(file)
    assert file.read() == b"more"
