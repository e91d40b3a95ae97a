"""The parts of settings: typed, frozen, and strict about words."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

Probability = Annotated[float, Field(ge=0, le=1)]


class Part(BaseModel):
    """A frozen group of settings in which an unknown word is an error that lists the valid ones."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown(cls, fields):
        unknown = sorted(set(fields) - set(cls.model_fields)) if isinstance(fields, dict) else []
        if unknown:
            raise ValueError(
                f"unknown {', '.join(unknown)}; valid: {', '.join(sorted(cls.model_fields))}"
            )
        for name, value in fields.items() if isinstance(fields, dict) else ():
            kind = cls.model_fields[name].annotation
            if isinstance(value, bool | str) and kind in (int, float):  # True is no 1, "2" no 2
                raise ValueError(f"{name}: {value!r} is not a number")
        return fields

    def is_default(self, name):
        """Whether a field has its default value."""
        return getattr(self, name) == type(self).model_fields[name].default
