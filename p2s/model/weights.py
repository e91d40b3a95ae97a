"""Weights files: read and filled in, or a ValueError of one line that names the file."""

import pickle
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file


def _tensors_only(path):
    return torch.load(path, map_location="cpu", weights_only=True)


def _pickled(path):
    with path.open("rb") as file:
        return pickle.load(file, encoding="latin1")


SAFE = {".pt": _tensors_only, ".pth": _tensors_only, ".safetensors": load_file}
TRUSTED = {".pkl": _pickled, **SAFE}  # a pickle runs code: open none from strangers


@contextmanager
def readable(path):
    """Turn whatever goes wrong while a file is read into a ValueError that names it."""
    try:
        yield
    except Exception as error:  # what junk raises in torch and pickle is anybody's guess
        text = " ".join(str(error).split()).split(". ")[0]  # torch adds advice to run any code
        reason = f"{type(error).__name__}: {text}"
        raise ValueError(f"{path}: not a readable weights file: {reason}") from error


def read(path, formats=SAFE):
    """The dict that a weights file holds."""
    path = Path(path)
    if path.suffix not in formats:
        raise ValueError(f"{path}: unknown format; valid: {', '.join(formats)}")
    with readable(path):
        content = formats[path.suffix](path)
        if not isinstance(content, dict):
            raise TypeError(f"it holds a {type(content).__name__}, not a dict")
    return content


def read_parts(path, names):
    """The dict that a weights file holds, which must have these names."""
    content = read(path)
    if missing := [name for name in names if name not in content]:
        raise ValueError(f"{path}: not a file of this kind: {', '.join(missing)} missing")
    return content


def metadata(path):
    """The texts that a safetensors file carries beside its tensors."""
    with readable(path), safe_open(path, "pt") as file:
        return file.metadata() or {}


def fill(model, found, path):
    """Load the tensors of a file, which must be exactly those of the model."""
    require_fit(path, model.state_dict(), found, "its Spec")
    model.load_state_dict(found)


def require_fit(path, wanted, found, whole):
    """ValueError, with the first misfits, unless two dicts of tensors have the same shapes."""
    if problems := _misfits(wanted, found):
        raise ValueError(f"{path} does not fit {whole}: {'; '.join(problems)}")


def _misfits(wanted, found, shown=3):
    missing, unknown = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    shapes = [
        f"{name} is {tuple(found[name].shape)}, not {tuple(value.shape)}"
        for name, value in wanted.items()
        if name in found and found[name].shape != value.shape
    ]
    kinds = {"missing": missing, "unknown": unknown, "of another shape": shapes}
    return [
        f"{len(names)} {kind} (first: {', '.join(names[:shown])})"
        for kind, names in kinds.items()
        if names
    ]
