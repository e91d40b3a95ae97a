"""The folder that a training lives in: written so that a stop at any moment leaves it whole.

It holds `state.pt` while the training runs, in the end `model.safetensors`, `spec.json`,
`classes.json`, `curve.json` (losses) and `training.json` (its identity, seed, seconds, and where it
was); from the first state on `settings.json`, see `p2s.train.settings`. Where AP is watched, the
folder `best` in it is a model too, if an earlier one had a higher AP than the last.
"""

import io
import math
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from pydantic import BaseModel
from safetensors.torch import save
from torch import nn

from p2s.files import PARTIAL, WEIGHTS, printable, read_json, write_atomic
from p2s.model import weights
from p2s.model.zoo import build
from p2s.spec import Spec
from p2s.spec.memory import require_weights
from p2s.train import kept
from p2s.train.average import Average

STATE = "state.pt"
BEST = "best"  # its training.json has iteration and AP besides
BEST_FILES = (WEIGHTS, "spec.json", "classes.json", "training.json")  # the last says whose it is
KEPT = "nothing there was changed: choose another folder, or remove this one"
PROGRESS = ("identity", "iteration", "seconds", "curve", "places")  # in a state beside the weights


class Told(BaseModel):
    """What a training tells of itself in `training.json`."""

    training_id: str = ""
    seed: int
    seconds: float
    iteration: int = 0  # of the best weights, as their AP
    AP: float = math.nan
    where: kept.Where | None = None  # it ended
    before: list[kept.Where] = []  # where a part of it was, if elsewhere


def was_at(places: list[kept.Where]) -> dict[str, Any]:
    """The fields of `training.json` that say where a training was, one place after another."""
    *before, last = [place.model_dump() for place in places]
    return {"where": last} | ({"before": before} if before else {})


def told(folder: Path) -> Told:
    """What `training.json` of a folder says; ValueError names the file and the field."""
    return _told_in(folder / "training.json", Told)


def curve(folder: Path) -> kept.Curve:
    """The losses by iteration of a finished training; ValueError names the file and the field."""
    return _told_in(folder / "curve.json", kept.Curve)


def _told_in(path: Path, kind: Any) -> Any:
    """What a training has written beside its weights; nothing but another one makes it anew."""
    try:
        return read_json(path, kind)
    except (OSError, ValueError) as error:
        told = f"{error}; delete {path.with_name(WEIGHTS)} to train again"
        raise ValueError(told) from None


def finished(output: str | Path, identity: str) -> bool:
    """Whether `output` holds the model of this training id; ValueError if of another one."""
    path = Path(output) / WEIGHTS
    if not path.exists():
        return False
    with _told_to_delete():
        held = weights.metadata(path).get("training_id")
    _refuse_other(output, held, identity)
    return True


def load(folder: str | Path) -> tuple[nn.Module, Spec, list[str]]:
    """The model that a training left in `folder`, its Spec and the names of its classes."""
    spec, classes = described(folder)
    model = build(spec.without_weights())  # they are in the model's own
    fill(model, Path(folder))
    return model.eval(), spec, classes


def described(folder: str | Path) -> tuple[Spec, list[str]]:
    """Of the model in a folder its Spec and the names of its classes; ValueError if none is."""
    folder = Path(folder)
    if not (folder / WEIGHTS).exists():
        raise ValueError(f"{folder} holds no trained model: {WEIGHTS} is missing")
    spec = read_json(folder / "spec.json", Spec)
    try:
        require_weights(spec)
    except ValueError as error:
        raise ValueError(f"{folder / 'spec.json'}: {error}") from None
    classes = read_json(folder / "classes.json", list[str])
    if len(classes) != spec.num_classes:
        raise ValueError(
            f"{folder / 'classes.json'}: the number of names is {len(classes)}, "
            f"but num_classes in spec.json is {spec.num_classes}"
        )
    return spec, classes


def fill(model: nn.Module, folder: Path) -> None:
    """Give a model the weights of the finished one in a folder."""
    path = folder / WEIGHTS
    tensors = weights.read_weights(path)
    weights.fill(model, tensors, path)
    weights.require_finite(path, tensors)


@contextmanager
def named(folder: Path) -> Iterator[None]:
    """Name the weights in a folder where a model's own numbers are told to be not finite."""
    try:
        yield
    except FloatingPointError as error:
        raise FloatingPointError(f"{folder / WEIGHTS}: {error}") from error


def save_state(
    output: Path,
    progress: dict[str, Any],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: Average,
) -> None:
    """Keep what the next step depends on; `progress` has the names of PROGRESS."""
    buffer = io.BytesIO()
    progress = progress | {"places": [place.model_dump() for place in progress["places"]]}
    states = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    states["average"] = average.state()
    torch.save({**progress, **states}, buffer)
    write_atomic(output / STATE, buffer.getvalue())


def resume(
    output: Path,
    identity: str,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: Average,
) -> dict[str, Any]:
    """Fill all three from the state that is kept, and return its progress: nothing without a state.

    ValueError if it is of another training.
    """
    path = output / STATE
    if not path.exists():
        return {}
    with _told_to_delete():
        state = kept.read(path, kept.State)
    _refuse_other(output, state.identity, identity)
    weights.fill(model, state.model, path)
    with _told_to_delete():
        for tensors in (state.model, state.average):  # their names are the same
            weights.require_finite(path, tensors)
        kept.restore(optimizer, state.optimizer, path)
        weights.require_fit(path, average.state(), state.average, "the average of its Spec")
    average.load(state.average)
    return {name: getattr(state, name) for name in PROGRESS}


def write_model(output: Path, model: nn.Module, identity: str, texts: dict[str, str]) -> None:
    """Leave a finished training: its texts by file name, then its weights."""
    for name, text in texts.items():
        write_atomic(output / name, text.encode())
    # A copy each: modules may share a parameter, and channels_last is not what the file holds.
    copy = {"memory_format": torch.contiguous_format}
    tensors = {name: value.clone(**copy) for name, value in model.state_dict().items()}
    content = save(tensors, {"training_id": identity})
    write_atomic(output / WEIGHTS, content)  # last: it says `finished`


def mend(output: Path, texts: dict[str, str]) -> None:
    """Write anew those texts of a finished training, by file name, that are no JSON any more."""
    for name, text in texts.items():
        try:
            if (output / name).exists():
                read_json(output / name, Any)
        except ValueError:
            write_atomic(output / name, text.encode())


def remove_state(output: Path) -> None:
    """Remove the state of a training that is finished."""
    (output / STATE).unlink(missing_ok=True)


def remove_best(output: Path) -> None:
    """Remove the best model of a training whose last one is not worse; others' files stay."""
    for name in BEST_FILES:
        (output / BEST / name).unlink(missing_ok=True)
    with suppress(OSError):  # it was not there, or is not empty
        (output / BEST).rmdir()


def best(output: Path) -> Told | None:
    """What the best model of a finished training tells of itself; None if there is none."""
    with suppress(OSError, ValueError):
        kept_there = read_json(output / BEST / "training.json", Told)
        if kept_there.training_id == told(output).training_id:
            return kept_there
    return None


def refuse_other_best(output: Path, identity: str) -> None:
    """ValueError if something but the best model of this training is in its place."""
    if not _is_place_of_best(output / BEST, identity):
        raise ValueError(
            f"{output / BEST}: not of this training, whose best weights go there; {KEPT}"
        )


def _is_place_of_best(folder, identity):
    if not folder.is_dir():
        return not folder.exists()
    with suppress(OSError, ValueError):
        return read_json(folder / "training.json", Told).training_id == identity
    # A stop may have left less, which does not say yet whose it is.
    begun = BEST_FILES[1:-1]
    return all(p.name in begun or p.name.endswith(PARTIAL) for p in folder.iterdir())


def alone_in(output: Path) -> AbstractContextManager:
    """The lock of a folder, to be held by `with`; whoever has to wait for it is told so."""
    lock = FileLock(output / ".lock")
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        told = f"{output}: another process trains into it; waiting for its end"
        print(printable(told), file=sys.stderr)
        return lock.acquire()


@contextmanager
def _told_to_delete():
    """Say how to go on after a damaged file, which is kept: its training may be dear."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{error}; delete it to start anew") from error


def _refuse_other(output, held, wanted):
    if held != wanted:
        raise ValueError(
            f"{output} holds another training ({held}, not {wanted}): other settings, data, seed "
            f"or version; {KEPT}"
        )
