"""Weights files: read and filled in, or a ValueError of one line that names the file."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from p2s.model.pickled import load_arrays
from p2s.model.torch_files import load_torch


def _arrays(path):
    with path.open("rb") as file:
        return load_arrays(file)


FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)  # read for one another
FORMATS = {".pkl": _arrays, ".pt": load_torch, ".pth": load_torch, ".safetensors": load_file}


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong while a file is read into a ValueError that names it."""
    try:
        if path.exists() and not path.is_file():
            raise ValueError("not a regular file")
        yield
    except Exception as error:  # what junk raises in torch and pickle is anybody's guess
        text = " ".join(str(error).split()).split(". ")[0]  # torch adds advice to run any code
        reason = f"{type(error).__name__}: {text}"
        raise ValueError(f"{path}: not a readable weights file: {reason}") from error


def read_weights(path: str | Path) -> dict:
    """The dict that a weights file holds; of a file that would run code nothing is run."""
    path = Path(path)
    if path.suffix not in FORMATS:
        raise ValueError(f"{path}: unknown format; valid: {', '.join(FORMATS)}")
    with readable(path):
        content = FORMATS[path.suffix](path)
        if not isinstance(content, dict):
            raise TypeError(f"it holds a {type(content).__name__}, not a dict")
    return content


def read_parts(path: str | Path, names: Iterable[str]) -> dict:
    """The dict that a weights file holds, which must have these names."""
    content = read_weights(path)
    if missing := [name for name in names if name not in content]:
        raise ValueError(f"{path}: not a file of this kind: {', '.join(missing)} missing")
    return content


def as_tensors(path: Path, content: dict) -> dict[str, Tensor]:
    """The entries of a weights file, which may hold other things than arrays."""
    with readable(path):
        return {name: _as_tensor(name, value) for name, value in content.items()}


def _as_tensor(name, value):
    if not isinstance(value, Tensor | np.ndarray | np.generic | int | float):  # a list is no end
        raise TypeError(f"{name}: a {type(value).__name__} (valid: an array of numbers)")
    return torch.as_tensor(value)


def metadata(path: str | Path) -> dict[str, str]:
    """The texts that a safetensors file carries beside its tensors."""
    with readable(path), safe_open(path, "pt") as file:
        return file.metadata() or {}


def require_dense(tensor: Tensor) -> Tensor:
    """The tensor; ValueError for one that is not plain numbers, or more than its file holds."""
    if type(tensor) not in (Tensor, nn.Parameter) or tensor.layout != torch.strided:
        raise ValueError(f"a {type(tensor).__name__} (valid: a dense tensor)")
    if tensor.device.type != "cpu" or tensor.is_quantized:
        raise ValueError(f"of device {tensor.device}, {tensor.dtype} (valid: plain numbers)")
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise ValueError(f"shape {(*tensor.shape,)} is of more numbers than the file holds")
    return tensor


def same_kind(tensor: Tensor, other: Tensor) -> bool:
    """Whether two have one type, or both are floats, of which one is read for the other."""
    return tensor.dtype == other.dtype or {tensor.dtype, other.dtype} <= {*FLOATS}


def infinite(tensor: Tensor) -> bool:
    """Whether a number in it is NaN or infinite, as a float32 at the latest."""
    return not bool((tensor.float() if tensor.dtype in FLOATS else tensor).isfinite().all())


def require_finite(path: Path, tensors: dict[str, Tensor]) -> None:
    """ValueError names the file and the first tensor in which a number is NaN or infinite."""
    if broken := [name for name, tensor in tensors.items() if infinite(tensor)]:
        raise ValueError(f"{path}: {broken[0]}: not finite, as {len(broken)} of {len(tensors)}")


def fill(model: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Load the tensors of a file, which must be exactly those of the model."""
    require_fit(path, model.state_dict(), tensors, "its Spec")
    model.load_state_dict(tensors)


def require_fit(
    path: Path, wanted: dict[str, Tensor], given: dict[str, Tensor], whole: str
) -> None:
    """ValueError, with the first misfits, unless two dicts of tensors have the same shapes.

    And the same types: floats of another length are read as ours, other numbers are not.
    """
    for name, value in given.items():
        try:
            require_dense(value)
        except ValueError as error:
            raise ValueError(f"{path}: {name}: {error}") from None
    if problems := _misfits(wanted, given):
        raise ValueError(f"{path} does not fit {whole}: {'; '.join(problems)}")


def _misfits(wanted, given, shown=3):
    missing, unknown = sorted(wanted.keys() - given.keys()), sorted(given.keys() - wanted.keys())
    pairs = [(name, given[name], value) for name, value in wanted.items() if name in given]
    shapes = [
        f"{name} is {tuple(one.shape)}, not {tuple(own.shape)}"
        for name, one, own in pairs
        if one.shape != own.shape
    ]
    types = [
        f"{name} is {one.dtype}, not {own.dtype}"
        for name, one, own in pairs
        if not same_kind(one, own)
    ]
    kinds = {"missing": missing, "unknown": unknown, "of another shape": shapes}
    kinds |= {"of another type": types}
    return [
        f"{len(names)} {kind} (first: {', '.join(names[:shown])})"
        for kind, names in kinds.items()
        if names
    ]
