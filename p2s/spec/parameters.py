"""Parameters: of notebooks, flat values that anybody may give, held to a kind and to bounds."""

from math import inf
from typing import Any

KINDS = {int: "a whole number", float: "a number", str: "a text"}


def require(kind: type, least: float = -inf, most: float = inf, **parameters: Any) -> None:
    """ValueError, with what is valid, unless parameters are of a kind of KINDS and in its bounds.

    A whole number is a number too; True and False are none.
    """
    for name, value in parameters.items():
        is_kind = type(value) in ((int, float) if kind is float else (kind,))
        if not is_kind or kind is not str and not least <= value <= most:
            raise ValueError(f"{name}: {value!r} (valid: {KINDS[kind]}{_bounds(least, most)})")


def _bounds(least, most):
    if least == -inf:
        return ""
    return f", {least:g} or more" if most == inf else f", {least:g} to {most:g}"
