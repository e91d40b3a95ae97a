"""Classes: those of two files are the same by their names, whatever their order and ids."""

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar

from p2s.data.coco import CocoSet

Data = TypeVar("Data", bound=CocoSet)
NAMES = 5  # that are told, the others are counted


def in_classes_of(data: Data, classes: Sequence[str], *, told: str, trained: str) -> Data:
    """The data with its classes numbered as `classes` are; it may lack some of them.

    ValueError names both files, `told` of the data and `trained`, and the classes that are in the
    data alone.
    """
    if tuple(classes) == data.classes:
        return data
    if odd := [name for name in data.classes if name not in classes]:
        raise ValueError(
            f"{told}: categories: {_some(odd)} not in {trained} "
            f"(valid: {_some(classes)}{_written(odd, classes)})"
        )
    return data.in_order(tuple(classes))


def require_shared(classes: Sequence[str], known: Sequence[str], *, told: str) -> None:
    """ValueError unless one of the classes of a file, `told`, is one of a model's `known` ones."""
    if not set(classes) & set(known):
        raise ValueError(
            f"{told}: categories: {_some(classes)}: none is the model's "
            f"(valid: {_some(known)}{_written(classes, known)})"
        )


def beyond(found: Mapping[str, int], known: Collection[str], *, told: str) -> str:
    """A line on how many were found of classes that a file, `told`, lacks; empty if none were."""
    if not (odd := {name: count for name, count in found.items() if name not in known}):
        return ""
    lost = f"{sum(odd.values())} of {sum(found.values())} detections are left out"
    names = sorted(odd)
    return f"{told}: categories: {_some(names)} not there: {lost}{_written(names, known)}"


def shared(classes: Sequence[str], known: Sequence[str]) -> str:
    """Which classes of a model's `known` ones go on in another of `classes`, in words."""
    groups = {
        "kept": [name for name in classes if name in known],
        "new": [name for name in classes if name not in known],
        "left behind": [name for name in known if name not in classes],
    }
    return "; ".join(f"{word}: {_some(names)}" for word, names in groups.items() if names)


def _some(names):
    more = len(names) - NAMES
    return ", ".join(names[:NAMES]) + f" and {more} more" * (more > 0)


def _written(odd, known):
    """Which of `known` odd names are but for what is hardly seen; as codes, which show it."""
    likes = {_seen(name): name for name in known}
    pairs = [(likes.get(_seen(name) or None), name) for name in odd]
    told = [f"{like!a}, not {name!a}" for like, name in pairs if like]
    return f"; written {_some(told)}" if told else ""


def _seen(name):
    """A name without Unicode forms, case, and what is no letter, number or sign."""
    plain = unicodedata.normalize("NFKC", name).casefold()
    return "".join(sign for sign in plain if unicodedata.category(sign)[0] not in "CPZ")
