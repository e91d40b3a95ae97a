"""Files of torch.save: read, as weights alone, where their tensors are no more than their bytes."""

import io
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import torch

from p2s.model.opcodes import Opcodes
from p2s.model.pickled import refusal

MAGIC = b"PK\x03\x04"  # of a zip, by which torch tells it from older files
PARTS = 5  # pickles of an older file: two numbers, the system, the content, keys of its storages
REBUILT = "tensor tensor_v2 tensor_v3 parameter parameter_with_state sparse_tensor qtensor"
ENCODE = "_codecs encode"  # of bytes; some codecs take the square of a text's length
CALLED = {  # of what torch lets a file call: nothing that a number alone makes large
    *(f"torch._utils _rebuild_{kind}" for kind in REBUILT.split()),
    "torch._utils _rebuild_meta_tensor_no_storage",
    "torch.serialization _get_layout",
    "torch Size",
    "torch device",
    "collections OrderedDict",
    "collections Counter",
    ENCODE,
    *(f"{module} {kind}" for module in ("builtins", "__builtin__") for kind in ("set", "complex")),
}


def load_torch(path: Path) -> Any:
    """What torch.save wrote; UnpicklingError names what a file of anything else would run."""
    _refuse_inflating(path)
    _refuse_boundless(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if unsafe := re.search(r"GLOBAL (\S+)", str(error)):  # after advice to run any code
            raise refusal(unsafe[1]) from error
        raise


def _refuse_inflating(path):
    """torch.save stores what it writes as it is; a crafted file might unpack to any size."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as file:
            size = sum(member.file_size for member in file.infolist())
        if size > path.stat().st_size:
            raise pickle.UnpicklingError(f"packed, of {size} bytes (valid: as torch.save writes)")


def _refuse_boundless(path):
    for opcodes in _pickles(path):
        for called, given in opcodes.calls:
            _refuse_call(called.value, given)
        _refuse_large(opcodes.storages, path.stat().st_size)


def _pickles(path):
    """What the pickles in a file make, as torch finds them."""
    with path.open("rb") as file:
        if file.read(len(MAGIC)) == MAGIC:
            content = torch._C.PyTorchFileReader(str(path)).get_record("data.pkl")
            return [Opcodes(io.BytesIO(content))]
        file.seek(0)
        opcodes = [Opcodes(file) for _ in range(PARTS)]
    keys = {key.value for key in opcodes[-1].stack[-1].parts or ()}
    if missing := [key for _, _, key, *_ in opcodes[-2].storages if key not in keys]:
        raise pickle.UnpicklingError(f"storage {missing[0]} is not in it (valid: all)")
    return opcodes


def _refuse_call(name, given):
    if name not in CALLED or (name == ENCODE and given.parts[1].value != "latin1"):
        raise refusal("what it makes" if name is None else str(name).replace(" ", "."))


def _refuse_large(storages, size):
    """Storages are made as they are named: each is read once, and all are in the file."""
    kinds: dict[str, tuple] = {}
    for _, kind, key, _, count, *_ in storages:
        if kinds.setdefault(key, (kind, count)) != (kind, count) and count:
            raise pickle.UnpicklingError(f"storage {key} is of two kinds (valid: of one)")
    if (count := sum(count for _, count in kinds.values())) > size:
        raise pickle.UnpicklingError(f"it is of {count} numbers, more than its bytes")
