"""Environment: variables that others set, as typed values; what is wrong is told by its name."""

import os
import pwd
import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

CACHE = "P2S_CACHE"
LIMITS = {  # of a field, the one it does not exceed and by how much it stays below
    "local_world_size": ("world_size", 0),
    "rank": ("world_size", 1),
    "local_rank": ("local_world_size", 1),
}


def _whole(text):
    """A number as programs write it; Python itself would take other scripts, and `1_0`."""
    if not re.fullmatch("[0-9]{1,9}", str(text)):
        raise ValueError("no whole number")
    return int(text)


Whole = Annotated[int, BeforeValidator(_whole)]
Text = Annotated[str, Field(min_length=1)]
COUNT = "a whole number, more than 0"


class Variables(BaseModel):
    """Fields that are read from the variables that their aliases name; empty is left out."""

    @classmethod
    def read(cls) -> Self:
        """The environment's; ValueError names the first wrong one, its value and what is valid."""
        fields = {str(field.alias): field for field in cls.model_fields.values()}
        given = {name: os.environ[name] for name in fields if os.environ.get(name)}
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            name = str(error.errors()[0]["loc"][0])
            told = repr(os.environ[name][:80]) if name in os.environ else "missing"
            raise ValueError(f"${name}: {told} (valid: {fields[name].description})") from None


class Rank(Variables):
    """One of the ranks that others started, such as torchrun, by torch's names."""

    world_size: Whole = Field(alias="WORLD_SIZE", gt=0, description=COUNT)
    local_world_size: Whole = Field(
        alias="LOCAL_WORLD_SIZE", gt=0, description=f"{COUNT}, WORLD_SIZE at most"
    )
    rank: Whole = Field(alias="RANK", description="a whole number, less than WORLD_SIZE")
    local_rank: Whole = Field(
        alias="LOCAL_RANK", description="a whole number, less than LOCAL_WORLD_SIZE"
    )
    host: Text = Field(alias="MASTER_ADDR", description="a name or an address of a host")
    port: Whole = Field(alias="MASTER_PORT", gt=0, lt=2**16, description="1 to 65535")

    @field_validator(*LIMITS)
    @classmethod
    def _is_within(cls, value: int, info: ValidationInfo) -> int:
        limit, below = LIMITS[str(info.field_name)]
        if value + below > info.data.get(limit, value + below):
            raise ValueError(f"{limit} is {info.data[limit]}")
        return value


class Task(Variables):
    """One of a Slurm step's tasks."""

    count: Whole = Field(alias="SLURM_NTASKS", gt=0, description=COUNT)
    number: Whole = Field(alias="SLURM_PROCID", description="a whole number")
    of_node: Whole = Field(alias="SLURM_LOCALID", description="a whole number")


class Allocation(Variables):
    """What a Slurm job has of a node; None where it was not asked for."""

    cores: Whole | None = Field(None, alias="SLURM_CPUS_PER_TASK", gt=0, description=COUNT)


def is_rank() -> bool:
    """Whether torchrun started this process, as one of its ranks."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def _made(text):
    """A folder that is there from now on."""
    folder = Path(os.path.realpath(text))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(error.strerror) from None
    return folder


class _Cache(Variables):
    folder: Annotated[Path, AfterValidator(_made)] | None = Field(
        None, alias=CACHE, description="a folder, or where one can be made"
    )


def cache(default: Path) -> Path:
    """The folder that $P2S_CACHE names, made if it is not there, or a default, which is not."""
    return _Cache.read().folder or Path(os.path.realpath(default))


def user_cache() -> Path:
    """The folder for what is worth keeping from one command to the next, outside of a study."""
    return _Cache.read().folder or _home() / ".cache" / "p2s"


def _home():
    """The folder of the user; one of $HOME goes before that of the system, which may know none."""
    try:
        return Path(os.path.realpath(os.environ.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir))
    except KeyError:
        told = f"missing (valid: a folder, or one in ${CACHE} for what is kept)"
        raise ValueError(f"$HOME: {told}") from None
