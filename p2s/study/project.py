"""Project: the one place that says where a study's files are."""

import re
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, get_args

from pydantic import AfterValidator, Field, PositiveFloat

from p2s import environment
from p2s.data.catalogue import model_folder
from p2s.environment import COUNT, Whole
from p2s.files import WEIGHTS
from p2s.spec.parameters import require

if TYPE_CHECKING:
    from p2s.study.runs import Run

PACKAGE = Path(__file__).parents[1]  # p2s/: the source that a record's hash is of
PAPER = PACKAGE.parent / "experiments" / "paper.yaml"  # the published numbers
PAGE = PACKAGE / "report" / "page"  # the template of a page
TRAIN_EVAL = Path("notebooks/train_eval.ipynb")
DEVICES = "cpu, cuda, cuda:1 and so on, auto"


def _device(name):
    if not re.fullmatch("cpu|auto|cuda(:[0-9]{1,4})?", name):
        raise ValueError(f"{name[:80]!r} (valid: {DEVICES})")
    return name


Device = Annotated[str, AfterValidator(_device)]  # a name of one: here it need not be
Precision = Literal["fp32", "tf32", "bf16"]


class _Variables(environment.Variables):
    """A Place by its variables."""

    device: Device | None = Field(None, alias="P2S_DEVICE", description=DEVICES)
    precision: Precision | None = Field(
        None, alias="P2S_PRECISION", description=", ".join(get_args(Precision))
    )
    processes: Whole | None = Field(None, alias="P2S_PROCESSES", gt=0, description=COUNT)
    workers: Whole | None = Field(None, alias="P2S_WORKERS", description="a whole number")
    save_minutes: PositiveFloat | None = Field(
        None, alias="P2S_SAVE_MINUTES", allow_inf_nan=False, description="a number, more than 0"
    )
    nodes: Whole | None = Field(None, alias="P2S_NODES", gt=0, description=COUNT)


class Place(NamedTuple):
    """Where a training computes, and how often it is saved.

    The environment hands it on to kernels and jobs.
    """

    device: str = "cpu"  # see p2s.model.device
    precision: str = "fp32"  # of its convolutions
    processes: int = 1  # see p2s.train.processes
    workers: int = 0  # threads of a process that make batches ahead
    save_minutes: float = 1.0  # between two states of it
    nodes: int = 1  # of a cluster, with so many processes each, see p2s.train.nodes

    @property
    def ranks(self) -> int:
        """The processes of a training on all nodes."""
        return self.nodes * self.processes

    @classmethod
    def here(cls) -> "Place":
        """That of $P2S_DEVICE, $P2S_PRECISION and so on; ValueError names a wrong one."""
        return cls(**_Variables.read().model_dump(exclude_none=True))

    def variables(self) -> dict[str, str]:
        """The environment that says so."""
        return {f"P2S_{name.upper()}": str(value) for name, value in self._asdict().items()}


@dataclass(frozen=True)
class Project:
    """The folders of a study; `cache` holds all that can be made again and is not in git."""

    root: Path
    cache: Path

    @classmethod
    def at(cls, folder: Path | str = ".") -> "Project":
        """The project that holds `folder`; its cache is $P2S_CACHE, else .p2s in the root."""
        if not isinstance(folder, Path):
            require(str, root=folder)
        start = Path(folder).resolve()
        for root in (start, *start.parents):
            if (root / "experiments" / "scales.yaml").is_file():
                return cls(root, environment.cache(root / ".p2s"))
        raise FileNotFoundError(f"{start}: no experiments/scales.yaml here or in a folder above")

    @property
    def experiments(self) -> Path:
        """One YAML file per table or figure."""
        return self.root / "experiments"

    def records(self, scale: str) -> Path:
        """The folder of a scale's records."""
        return self.root / "results" / "runs" / scale

    def require_places(self, scale: str) -> None:
        """OSError names the first folder of a scale's records and cache that takes no file."""
        parts = (self.cache / "runs" / scale, self.cache / "weights")
        for folder in (self.records(scale), *parts):
            try:
                folder.mkdir(parents=True, exist_ok=True)
                with TemporaryFile(dir=folder) as file:
                    file.write(bytes(4096))
            except OSError as error:
                told = f"{folder}: cannot be written to: {error.strerror}"
                raise OSError(f"{told} (valid: a folder with space)") from None

    @property
    def benches(self) -> Path:
        """The folder of measurements of speed."""
        return self.root / "results" / "bench"

    @property
    def reproduced(self) -> Path:
        """The folder of what came out when records were made again."""
        return self.root / "results" / "reproduced"

    @property
    def views(self) -> Path:
        """The folder of what Figure 1 shows."""
        return self.root / "results" / "framework"

    def record(self, run: "Run") -> Path:
        """The record that a run is to leave."""
        return self.records(run.scale) / f"{run.evaluation_id}.json"

    def executed(self, run: "Run") -> Path:
        """The executed copy of a run's notebook."""
        return self.cache / "runs" / run.scale / f"{run.evaluation_id}.ipynb"

    def failure(self, run: "Run") -> Path:
        """The error of a failed run in one line, until it is run again."""
        return self.executed(run).with_suffix(".failed")

    def lock(self, run: "Run") -> Path:
        """Held while a run is running."""
        return self.executed(run).with_suffix(".lock")

    def weights(self, run: "Run") -> Path:
        """The folder of a training's state and weights, or of a released model, for all tests."""
        if run.weights:
            return model_folder(self.root, run.weights)
        return self.cache / "weights" / run.training_id

    def is_trained(self, run: "Run") -> bool:
        """Whether the weights that a run evaluates are there."""
        return (self.weights(run) / WEIGHTS).exists()
