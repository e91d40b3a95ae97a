"""Finiteness: numbers that are not finite stop whoever computed them, with a message.

R rows: locations, regions or whatever else holds several numbers.
"""

from collections.abc import Callable

from torch import Tensor


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
    if not finite.all():
        raise FloatingPointError(f"non-finite {describe(~finite)}")
