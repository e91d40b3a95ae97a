"""Apart: labels of others as two parts, train and val, that share no picture."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from p2s.data.checks.twins import near_twins
from p2s.data.formats.labelled import Format, Parts

TRAIN, VAL = "train", "val"
NearTwins = Callable[[list[Path], list[Path]], list[Path]]


def apart(form: Format, near: NearTwins = near_twins) -> Format:
    """A format that reads two parts: `train`, and as `val` all others without its near twins.

    What is near one of training is left out, for AP would praise it.
    """
    return Format(partial(_read, form, near), form.lines)


def _read(form, near, folder):
    classes, parts = form.read(folder)
    if TRAIN not in parts or len(parts) == 1:
        raise ValueError(f"{folder}: parts {', '.join(parts)}; valid: train and others")
    train = parts[TRAIN]
    others = [each for name in sorted(parts) if name != TRAIN for each in parts[name]]
    known = {*near(*([each.picture for each in part] for part in (train, others)))}
    return Parts(
        classes, {TRAIN: train, VAL: [each for each in others if each.picture not in known]}
    )
