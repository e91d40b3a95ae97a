"""The parts of settings: typed, frozen, and strict about words."""

from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

Probability = Annotated[float, Field(ge=0, le=1)]
LARGEST = 2**53  # whole numbers up to it are floats too
# Marks a field that came after the first records: at its default it is no part of an identity.
YOUNGER = "younger than the first records"
# Marks a field that came later still: at its default no dump has it.
UNWRITTEN = "not written at its default"


class Part(BaseModel):
    """A frozen group of settings in which an unknown word is an error that lists the valid ones."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown(cls, fields: Any) -> Any:
        if not isinstance(fields, dict):
            return fields
        known = cls.model_fields
        if unknown := sorted(str(name) for name in fields if name not in known):
            raise ValueError(f"unknown {', '.join(unknown)}; valid: {', '.join(cls.field_words())}")
        for name, value in fields.items():
            for place, inner in _inside(name, value):
                _require_number(place, inner, name in cls._numeric())
        return fields

    @classmethod
    @cache
    def _numeric(cls) -> set[str]:
        return {name for name, f in cls.model_fields.items() if _is_of_numbers(f.annotation)}

    @model_serializer(mode="wrap")
    def _dump(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return self.written(dump(self))

    def written(self, dump: dict[str, Any]) -> dict[str, Any]:
        """A dump of its fields without those that are not written at their default."""
        defaults = self.unwritten()
        quiet = {name for name in defaults if getattr(self, name) == defaults[name]}
        return {name: value for name, value in dump.items() if name not in quiet}

    @classmethod
    @cache
    def unwritten(cls) -> dict[str, Any]:
        """The defaults of the fields that are not written at them."""
        marked = {
            name: field for name, field in cls.model_fields.items() if UNWRITTEN in field.metadata
        }
        return {name: field.default for name, field in marked.items()}

    @classmethod
    def field_words(cls) -> list[str]:
        """The names under which its settings are written."""
        return sorted(cls.model_fields)

    @classmethod
    @cache
    def younger(cls) -> list[str]:
        """The names, in records, of fields that came after the first records."""
        return [name for name, field in cls.model_fields.items() if YOUNGER in field.metadata]

    def left_out(self) -> list[str]:
        """Of the younger fields those at their default: an identity leaves them out."""
        ours, default = self.model_dump(), self._default()
        return [name for name in self.younger() if ours[name] == default[name]]

    @classmethod
    @cache
    def _default(cls):
        return cls().model_dump()

    def nested(self) -> dict[str, Any]:
        """Its fields, and those of its parts, as they are written: see p2s.spec.changes.merge."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return {
            name: value.nested() if isinstance(value, Part) else value
            for name, value in fields.items()
        }


def _is_of_numbers(kind):
    """Whether a field's type has room for numbers alone, at most in tuples."""
    inner = [part for part in get_args(kind) if part not in (NoneType, Ellipsis)]
    if get_origin(kind) is Annotated:
        return _is_of_numbers(inner[0])
    holds = get_origin(kind) in (tuple, Union, UnionType) and bool(inner)
    return kind in (int, float) or holds and all(map(_is_of_numbers, inner))


def _inside(place, value):
    """What stands in lists, however nested, by its place; anything else is its own content."""
    if not isinstance(value, list | tuple):
        yield place, value
        return
    for number, inner in enumerate(value):
        yield from _inside(f"{place}.{number}", inner)


def _require_number(place, value, of_numbers):
    if isinstance(value, bool | str) and of_numbers:  # True is no 1, "2" no 2
        raise ValueError(f"{place}: {value!r} is not a number")
    if isinstance(value, int) and abs(value) > LARGEST:
        raise ValueError(f"{place}: a number of more than {LARGEST.bit_length() - 1} bits")
