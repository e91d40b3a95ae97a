"""Finiteness: numbers that are not finite stop whoever computed them, with a message.

To ask a device for an answer is to wait until it has done all that was asked before. Within `noted`
checks of what is on one are kept, for one answer to all of them.
R rows: locations, regions or whatever else holds several numbers.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class Notes:
    """Checks that a device has not been asked about yet, in their order."""

    finite: list[Tensor] = field(default_factory=list)  # of rows, in any shape
    describe: list[Callable[[Tensor], str]] = field(default_factory=list)

    def passed(self, like: Tensor) -> Tensor:
        """1 if all rows of all checks are finite, else 0, a number beside another."""
        every = [rows.all() for rows in self.finite]
        return torch.stack(every).all().to(like.dtype) if every else torch.ones_like(like)

    def told(self) -> str | None:
        """What the first check says whose rows are not all finite; None if all are."""
        for finite, describe in zip(self.finite, self.describe, strict=True):
            if not finite.all():
                return _told(finite, describe)
        return None


_NOTES: ContextVar[Notes | None] = ContextVar("notes", default=None)


@contextmanager
def noted() -> Iterator[Notes]:
    """Let `refuse_nonfinite` note checks of what is on a device; whoever asks for it refuses.

    An error is told as that of the check that it came of, if there is one.
    """
    notes = Notes()
    token = _NOTES.set(notes)
    try:
        yield notes
    except Exception as error:
        if told := notes.told():
            raise FloatingPointError(told) from error
        raise
    finally:
        _NOTES.reset(token)


def finite_rows(*values: Tensor) -> Tensor:
    """Whether all numbers of a row are finite, of tensors (..., R, C) that share their rows."""
    every = [value.isfinite().all(-1) for value in values]
    whole = every[0]
    for part in every[1:]:
        whole = whole & part
    return whole


def all_finite(values: Tensor | None) -> bool:
    """Whether all numbers of a tensor are finite; those of no tensor are."""
    return values is None or bool(values.isfinite().all())


def refuse_nonfinite(finite: Tensor, describe: Callable[[Tensor], str]) -> None:
    """FloatingPointError unless all rows are finite; `describe` tells of the mask of the others."""
    notes = _NOTES.get()
    if notes and not finite.is_cpu:
        notes.finite.append(finite)
        notes.describe.append(describe)
    elif not finite.all():
        raise FloatingPointError(_told(finite, describe))


def _told(finite, describe):
    return f"non-finite {describe(~finite)}"
