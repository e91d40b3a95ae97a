"""Weights files: read and filled in, or a ValueError of one line that names the file."""

import pickle
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn


def _tensors_only(path):
    return torch.load(path, map_location="cpu", weights_only=True)


class _Arrays(pickle.Unpickler):
    """A pickle of arrays in dicts, lists and tuples; it may name nothing that could run code."""

    def find_class(self, module, name):
        if (module.replace("numpy.core", "numpy._core"), name) not in OF_ARRAYS:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is no part of an array")
        return super().find_class(module, name)


def _pickled(path):
    with path.open("rb") as file:
        return _Arrays(file, encoding="latin1").load()


OF_ARRAYS = {  # all that numpy writes of an array, and what holds arrays
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
    ("collections", "OrderedDict"),
}
SAFE = {".pt": _tensors_only, ".pth": _tensors_only, ".safetensors": load_file}
WITH_ARRAYS = {".pkl": _pickled, **SAFE}  # detectron2's files of converted weights


@contextmanager
def readable(path: str | Path) -> Iterator[None]:
    """Turn whatever goes wrong while a file is read into a ValueError that names it."""
    try:
        yield
    except Exception as error:  # what junk raises in torch and pickle is anybody's guess
        text = " ".join(str(error).split()).split(". ")[0]  # torch adds advice to run any code
        reason = f"{type(error).__name__}: {text}"
        raise ValueError(f"{path}: not a readable weights file: {reason}") from error


def read_weights(path: str | Path, formats: dict[str, Callable] = SAFE) -> dict:
    """The dict that a weights file holds."""
    path = Path(path)
    if path.suffix not in formats:
        raise ValueError(f"{path}: unknown format; valid: {', '.join(formats)}")
    with readable(path):
        content = formats[path.suffix](path)
        if not isinstance(content, dict):
            raise TypeError(f"it holds a {type(content).__name__}, not a dict")
    return content


def read_parts(path: str | Path, names: Iterable[str]) -> dict:
    """The dict that a weights file holds, which must have these names."""
    content = read_weights(path)
    if missing := [name for name in names if name not in content]:
        raise ValueError(f"{path}: not a file of this kind: {', '.join(missing)} missing")
    return content


def metadata(path: str | Path) -> dict[str, str]:
    """The texts that a safetensors file carries beside its tensors."""
    with readable(path), safe_open(path, "pt") as file:
        return file.metadata() or {}


def fill(model: nn.Module, tensors: dict[str, Tensor], path: str | Path):
    """Load the tensors of a file, which must be exactly those of the model."""
    require_fit(path, model.state_dict(), tensors, "its Spec")
    model.load_state_dict(tensors)


def require_fit(path: str | Path, wanted: dict[str, Tensor], held: dict[str, Tensor], whole: str):
    """ValueError, with the first misfits, unless two dicts of tensors have the same shapes."""
    if problems := _misfits(wanted, held):
        raise ValueError(f"{path} does not fit {whole}: {'; '.join(problems)}")


def _misfits(wanted, held, shown=3):
    missing, unknown = sorted(wanted.keys() - held.keys()), sorted(held.keys() - wanted.keys())
    shapes = [
        f"{name} is {tuple(held[name].shape)}, not {tuple(value.shape)}"
        for name, value in wanted.items()
        if name in held and held[name].shape != value.shape
    ]
    kinds = {"missing": missing, "unknown": unknown, "of another shape": shapes}
    return [
        f"{len(names)} {kind} (first: {', '.join(names[:shown])})"
        for kind, names in kinds.items()
        if names
    ]
