"""Changes of settings: nested as the settings are, the later over the earlier."""

from collections.abc import Iterator, Mapping
from typing import Any


def merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Nested settings with changes of the same nesting.

    A part that has kinds may be written as its kind alone; another kind than before keeps nothing
    of what was set.
    """
    return base | {name: _merged(base.get(name), change) for name, change in changes.items()}


def kind_of(part: Any) -> str | None:
    """The kind of a part as it is written, alone or among its fields; None if it says none."""
    return part.get("kind") if isinstance(part, dict) else part if isinstance(part, str) else None


def leaves(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested settings by their names with dots; of an empty part, the part."""
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _merged(old, new):
    if isinstance(old, str) and isinstance(new, dict):
        old = {"kind": old}
    if isinstance(new, str) and isinstance(old, dict) and "kind" in old:
        new = {"kind": new}
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    is_other = None not in (kind_of(old), kind_of(new)) and kind_of(old) != kind_of(new)
    return new if is_other else merge(old, new)
