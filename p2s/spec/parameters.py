"""Parameters: of notebooks, flat values that anybody may give, held to a kind and to bounds."""

import ast
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from p2s.files import shortened, text_of

KINDS = {int: "a whole number", float: "a number", str: "a text"}


def require(kind: type, least: float = -inf, most: float = inf, **parameters: Any) -> None:
    """ValueError, with what is valid, unless parameters are of a kind of KINDS and in its bounds.

    A whole number is a number too; True and False are none.
    """
    for name, value in parameters.items():
        is_kind = type(value) in ((int, float) if kind is float else (kind,))
        if not is_kind or kind is not str and not least <= value <= most:
            raise ValueError(f"{name}: {value!r} (valid: {KINDS[kind]}{_bounds(least, most)})")


def typed(template: Path, values: dict[str, Any]) -> dict[str, Any]:
    """`values` with every value in the type of the default in the notebook's parameters cell.

    The text of a command line is converted; an unknown name or a wrong type is a ValueError that
    lists the valid ones. papermill itself would let both pass.
    """
    types = _types(template)
    valid = ", ".join(f"{name} ({kind.__name__})" for name, kind in types.items())
    if unknown := sorted(set(values) - set(types)):
        raise ValueError(f"{template}: unknown parameter {', '.join(unknown)}; valid: {valid}")
    return {
        name: _of_kind(value, types[name], f"{template}: {name}: {value!r}; valid: {valid}")
        for name, value in values.items()
    }


def _bounds(least, most):
    if least == -inf:
        return ""
    return f", {least:g} or more" if most == inf else f", {least:g} to {most:g}"


def _of_kind(value, kind, told):
    """A value as of a kind, for which True is no number; ValueError says what is told."""
    with suppress(ValidationError):
        if kind is bool or type(value) is not bool:
            return TypeAdapter(kind).validate_python(value)
    raise ValueError(told)


def _types(template):
    """Those of the defaults in a notebook's parameters cell; ValueError for what is no notebook."""
    from papermill import inspect_notebook  # takes seconds to import, and status needs none of it

    text_of(template)  # papermill would wait for a pipe
    try:
        told = {name: given["default"] for name, given in inspect_notebook(template).items()}
        return {name: type(ast.literal_eval(text)) for name, text in told.items()}
    except Exception as error:  # whatever its readers make of a file that is none
        raise ValueError(f"{template}: not a notebook: {shortened(str(error))}") from None
