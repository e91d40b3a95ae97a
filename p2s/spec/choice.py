"""Choices: a choice and the fields that do something with it are one part.

Records, and the identities made of them, have a choice flat: its kind in its place, and beside it
the fields of all its kinds, those that do nothing at their default. Both forms are read.
"""

from functools import cache
from typing import Any, ClassVar, get_args

from pydantic import SerializerFunctionWrapHandler, model_serializer, model_validator

from p2s.spec.changes import kind_of
from p2s.spec.part import YOUNGER, Part


class Choice(Part):
    """One kind of a choice, and its fields; `kind` is its name, a Literal."""

    prefix: ClassVar[str] = ""  # of its fields' names in records

    kind: str

    @classmethod
    @cache
    def recorded(cls) -> dict[str, str]:
        """Its fields by their names in records."""
        return {cls.prefix + name: name for name in cls.model_fields if name != "kind"}

    @classmethod
    def has(cls, word: str) -> bool:
        """Whether a field has this name, in records or in the part."""
        return word in cls.recorded() or word in cls.model_fields


class Chooser(Part):
    """A part with choices among its fields, which is read in both forms and dumped flat."""

    @classmethod
    @cache
    def kinds(cls) -> dict[str, dict[str, type[Choice]]]:
        """Of each field that is a choice, the classes by kind."""
        return {
            name: {
                of_kind.model_fields["kind"].default: of_kind
                for of_kind in get_args(field.annotation)
            }
            for name, field in cls.model_fields.items()
            if field.discriminator == "kind"
        }

    @classmethod
    @cache
    def defaults(cls, name: str) -> dict[str, Any]:
        """The defaults of the fields of all kinds of a choice, by their names in records."""
        return {
            word: kind.model_fields[field].default
            for kind in cls.kinds()[name].values()
            for word, field in kind.recorded().items()
        }

    @classmethod
    @cache
    def younger(cls) -> list[str]:
        """As of any part, besides those of all kinds of its choices."""
        marked = [
            name
            for kinds in cls.kinds().values()
            for kind in kinds.values()
            for name, field in kind.recorded().items()
            if YOUNGER in kind.model_fields[field].metadata
        ]
        return [*super().younger(), *dict.fromkeys(marked)]

    @model_validator(mode="before")
    @classmethod
    def _read_flat(cls, fields: Any) -> Any:
        for name, kinds in cls.kinds().items() if isinstance(fields, dict) else ():
            default = cls.model_fields[name].default.kind
            fields = _nested(fields, name, kinds, default, cls.defaults(name))
        return fields

    @model_serializer(mode="wrap")
    def _dump_flat(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        flat: dict[str, Any] = {}
        for name, value in self.written(dump(self)).items():
            kinds = self.kinds().get(name)
            flat |= self._flat(name, kinds, value) if kinds else {name: value}
        return flat

    @classmethod
    def _flat(cls, name, kinds, chosen):
        names = kinds[chosen["kind"]].recorded()
        own = {flat: chosen[field] for flat, field in names.items()}
        return {name: chosen["kind"], **cls.defaults(name), **own}


def _nested(fields, name, kinds, default, defaults):
    """Fields of which those that a choice has stand in it; ValueError if one does nothing."""
    flat = {word: value for word, value in fields.items() if word in defaults}
    rest = {word: value for word, value in fields.items() if word not in defaults}
    chosen = _written(rest.pop(name, default), default)
    kind = kind_of(chosen)
    if not isinstance(kind, str) or kind not in kinds:
        return rest | {name: chosen}  # which pydantic refuses, telling the valid kinds
    told = [word for word, value in flat.items() if value != defaults[word]]
    _refuse_idle([*told, *chosen], name, kind, kinds)
    names = kinds[kind].recorded()
    own = {names[word]: value for word, value in flat.items() if word in names}
    return rest | {name: chosen | own}


def _written(choice, default):
    if isinstance(choice, Part):
        return choice.nested()
    if isinstance(choice, str):
        return {"kind": choice}
    return {"kind": default} | choice if isinstance(choice, dict) else choice


def _refuse_idle(words, name, kind, kinds):
    for word in words:
        valid = [key for key, of_kind in kinds.items() if of_kind.has(word)]
        if valid and kind not in valid:
            raise ValueError(f"{word} does nothing with {name} {kind}; valid: {', '.join(valid)}")
