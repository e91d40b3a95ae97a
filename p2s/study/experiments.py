"""Experiments and scales: what the YAML files ask for, strict and typed.

A cell of an experiment is a row and a variant; its Spec is the paper's detector with the changes of
the scale, then of the row, then of the variant.
"""

import math
from collections.abc import Collection, Iterable
from functools import lru_cache, reduce
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

from p2s.data.annotation_file import parsed, read
from p2s.plain_yaml import read_yaml
from p2s.spec import Coco, Spec, merge
from p2s.spec.part import Part
from p2s.spec.released import released
from p2s.study.project import Project

SHARED_FIELDS = {  # that a scale's proposal_share multiplies
    "first_stage": ("pre_nms", "proposals"),
    "test": ("pre_nms", "proposals"),
    "second_stage": ("regions",),
}
Name = Annotated[str, Field(min_length=1)]
# What stands in a line of its own wherever a run is told
Label = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
# A file or folder where the study keeps its kind, and nowhere else
FileName = Annotated[str, Field(pattern=r"^[^./\\\x00][^/\\\x00]*$")]
Measure = Literal["calibration", "fusion", "geometry", "posterior"]  # see p2s.study.train_eval
# What tables print and contrasts compare; full: against the full truth of federated scenes.
Metric = (
    Literal["AP", "AP50", "AP75", "APr", "APc", "APf", "proposal_AR"]
    | Literal["AP_full", "APr_full", "APc_full", "APf_full"]
    | Literal["AR_annotated", "AR_unannotated", "p_object_annotated", "p_object_unannotated"]
)
Seed = Annotated[int, Field(ge=0)]


class Strict(Part):
    """A part of a YAML file: besides unknown words, values of a wrong type are errors."""

    model_config = ConfigDict(strict=True)


class PaperRow(Strict):
    """Where experiments/paper.yaml holds the published numbers of a row."""

    table: int
    row: Name
    columns: dict[Metric, Name] = {"AP": "mAP"}  # names that the table prints, by metric


class Row(Strict):
    """A line of a table: a detector by its name in the paper, and what is changed in it."""

    name: Label
    detector: Name
    changes: dict[str, Any] = {}
    at: dict[Name, dict[str, Any]] = {}  # more changes at one scale alone, by its name
    data: Literal["glyphs", "coco"] | None = None  # as a variant's
    paper: PaperRow | None = None
    start: Name | None = None  # a row above, from whose training of the same seed it starts
    # A released detector under its name of `p2s fetch`, which is evaluated and not trained;
    # `detector` is then its name in p2s.spec.released.
    weights: FileName | None = None


class Variant(Strict):
    """A change that every row gets, as a second axis of the table."""

    name: Label
    changes: dict[str, Any] = {}
    data: Literal["glyphs", "coco"] | None = (
        None  # left out where a scale's data are of another kind
    )
    length: PositiveFloat = 1.0  # of the training, as a multiple of the row's: of all its schedule
    fixed: bool = False  # its AP, APr, APc and APf are AP-fixed, see p2s.measure.lvis


class Contrast(Strict):
    """A difference of two rows that the claim is about, taken seed by seed."""

    name: Name  # what is gained by what, or over what
    row: Name
    than: Name
    less: Annotated[tuple[Name, Name], Field(strict=False)] | None = None  # rows of a difference
    metric: Metric = "AP"
    expects: Literal["gain", "loss", "none"] | None = None  # what the paper claims, if anything

    @property
    def rows(self) -> tuple[str, ...]:
        """The names of all rows that it compares."""
        return self.row, self.than, *(self.less or ())


class Experiment(Strict):
    """One table or figure: its question, the paper's claim, and its rows."""

    name: Name  # the file's name without .yaml
    title: Name
    question: Name
    claim: Name
    notebook: FileName  # its page in the report
    measures: Annotated[tuple[Measure, ...], Field(strict=False)] = ()
    quotes: int | None = None  # a table of the paper whose other rows are shown as published
    data_set: Name | None = None  # of the scale's; None: what the scale's changes say
    own_scenes: bool = False  # glyphs of each seed's own; else all seeds share theirs
    seeds: PositiveInt | None = None  # how many of the scale's, the first ones; None: all
    rows: Annotated[tuple[Row, ...], Field(min_length=1, strict=False)]
    variants: Annotated[tuple[Variant, ...], Field(strict=False)] = ()
    contrasts: Annotated[tuple[Contrast, ...], Field(strict=False)] = ()
    at: dict[Name, dict[str, Any]] = {}  # what every row changes at one scale alone
    # One more picture of its differences: contrasts that follow each other as steps, or the first
    # along the variants "factor: value".
    picture: Literal["waterfall", "dependence"] | None = None

    @model_validator(mode="after")
    def _names_are_unique(self):
        rows = [row.name for row in self.rows]
        for contrast in self.contrasts:
            refuse_unknown(f"row in contrast {contrast.name!r}:", contrast.rows, rows)
        for number, row in enumerate(self.rows):
            if row.start:
                trained = [above.name for above in self.rows[:number] if not above.weights]
                refuse_unknown(f"row above {row.name!r}: start", [row.start], trained)
            if row.start and row.weights:
                raise ValueError(f"row {row.name!r}: start with weights (valid: one of them)")
        pairs = [f"{contrast.row}: {contrast.name}" for contrast in self.contrasts]
        for names in (rows, [variant.name for variant in self.variants], pairs):
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"named twice: {', '.join(twice)}")
        return self

    def sized(self, scale: str) -> "Experiment":
        """The experiment as it is at the scale of this name; its rows hold all their changes."""
        here = [
            merge(merge(self.at.get(scale, {}), row.changes), row.at.get(scale, {}))
            for row in self.rows
        ]
        rows = zip(self.rows, here, strict=True)
        sized = tuple(row.model_copy(update={"changes": changes}) for row, changes in rows)
        return self.model_copy(update={"rows": sized})


class Scale(Strict):
    """A size of the whole study; its changes come before those of rows and variants."""

    about: Name  # what it is, what it costs, which number to expect
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, strict=False)]
    proposal_share: Annotated[float, Field(gt=0, le=1)] = (
        1.0  # of every row's candidates, proposals, regions
    )
    own_scenes: bool = False  # of each seed, where data are scenes
    # Of every row's learning rate; one-stage rows keep their half unless changes give all one.
    rate_factor: PositiveFloat = 1.0
    # Of every training of a one-stage detector, as a multiple of all others': it learns its classes
    # from fewer examples an image, so it takes longer until it has learnt.
    one_stage_length: PositiveFloat = 1.0
    minutes_a_training: PositiveFloat  # a guess, used until a record has measured it
    minutes_an_evaluation: PositiveFloat | None = None  # the same; None: a tenth of a training
    changes: dict[str, Any] = {}
    designs: dict[Name, dict[str, Any]] = {}  # more changes for one first stage, by its name
    data_sets: dict[Name, dict[str, Any]] = {}  # more changes for experiments on other data

    def on(self, data_set: str | None) -> "Scale":
        """The scale as it is on one of its data sets; None is its own data."""
        more = {} if data_set is None else self.data_sets.get(data_set, {})
        changes = merge(self.changes, more)
        return self.model_copy(update={"changes": changes})


def load_scales(project: Project) -> dict[str, Scale]:
    """The scales of experiments/scales.yaml by name."""
    return read_yaml(project.experiments / "scales.yaml", dict[str, Scale])


def load_experiment(project: Project, name: str) -> Experiment:
    """The experiment of experiments/<name>.yaml."""
    path = project.experiments / f"{name}.yaml"
    experiment = read_yaml(path, Experiment)
    if experiment.name != name:
        raise ValueError(f"{path}: name: {experiment.name!r} is not the file's name")
    return experiment


def experiment_names(project: Project) -> list[str]:
    """All experiments, in alphabetical order."""
    others = ("scales", "paper", "executors", "claims")
    return sorted(p.stem for p in project.experiments.glob("*.yaml") if p.stem not in others)


def cells(experiment: Experiment, scale: Scale) -> list[tuple[Row, Variant | None]]:
    """Pairs of a row and a variant (None without variants) that this scale can run."""
    if experiment.data_set and experiment.data_set not in scale.data_sets:
        return []
    kind = scale.changes.get("data", {}).get("kind")
    rows = [row for row in experiment.rows if row.data in (None, kind)]
    variants = [variant for variant in experiment.variants if variant.data in (None, kind)]
    if not experiment.variants:
        return [(row, None) for row in rows]
    return [(row, variant) for variant in variants for row in rows]


def resolve(row: Row, variant: Variant | None, scale: Scale, root: Path | str) -> Spec:
    """The Spec of a row (and variant, or None) at a scale; data under `root` say the classes."""
    spec = _changed(row, variant, scale)
    shares = {
        part: {
            name: math.ceil(getattr(getattr(spec, part), name) * scale.proposal_share)
            for name in names
        }
        for part, names in SHARED_FIELDS.items()
    }
    recipe = {"rate": spec.recipe.rate * scale.rate_factor}
    length = variant.length if variant else 1.0
    length *= scale.one_stage_length if spec.second == "none" else 1.0
    if length != 1:
        recipe |= {
            name: max(1, round(getattr(spec.recipe, name) * length))
            for name in ("iterations", "warmup")
        }
    return spec.changed({**shares, "recipe": recipe, "num_classes": _num_classes(spec, root)})


def _changed(row, variant, scale):
    """The Spec of a row after all changes, those of its design before its own."""
    own = [row.changes, variant.changes if variant else {}]
    base = released(row.detector) if row.weights else Spec.named(row.detector)
    spec = reduce(Spec.changed, [scale.changes, *own], base)
    if of_design := scale.designs.get(spec.first):
        spec = reduce(Spec.changed, [scale.changes, of_design, *own], base)
    return spec


def annotation_files(data: Coco, root: Path | str) -> list[Path]:
    """The training and validation JSON of a spec.Coco, and pseudo-labels if it has them.

    Its paths are relative to `root`.
    """
    files = (data.train, data.val, data.pseudo)
    return [Path(root) / path for path in files if path]


def refuse_unknown(kind: str, names: Iterable[str], valid: Collection[str]) -> None:
    """ValueError for the first name that is not valid, with all that are."""
    for name in names:
        if name not in valid:
            raise ValueError(f"unknown {kind} {name!r}; valid: {', '.join(dict.fromkeys(valid))}")


def _num_classes(spec, root):
    if spec.data is None:
        raise ValueError("data: none (valid: kind glyphs, coco, lvis, lvis_v1, objects365_v1)")
    if not isinstance(spec.data, Coco):
        return spec.data.classes
    val = annotation_files(spec.data, root)[1]
    return _count_classes(val, val.stat().st_mtime_ns) if val.exists() else spec.num_classes


@lru_cache
def _count_classes(path, _modified):
    try:
        return len(parsed(read(path))["categories"])
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path}: no JSON object with a list of categories") from None
