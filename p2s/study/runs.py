"""Runs: every evaluation that the experiments ask for at a scale, with its identity."""

from dataclasses import dataclass
from typing import Literal

from p2s.files import file_fingerprint, first_problem
from p2s.spec import Coco, Spec, identity
from p2s.study import records
from p2s.study.experiments import (
    annotation_files,
    cells,
    experiment_names,
    load_experiment,
    load_scales,
    refuse_unknown,
    resolve,
)


@dataclass(frozen=True)
class Run:
    """One evaluation of one training; the first five fields are the notebook's parameters."""

    experiment: str
    row: str
    variant: str  # "" in an experiment without variants
    scale: str
    seed: int
    detector: str
    spec: Spec
    measures: tuple[str, ...]  # of the experiment
    train_fingerprint: str
    val_fingerprint: str
    training_id: str
    evaluation_id: str

    @property
    def label(self):
        """The run in words, for people."""
        variant = f" | {self.variant}" if self.variant else ""
        return f"{self.experiment} | {self.row}{variant} | seed {self.seed}"

    def record(self, **fields):
        """The Record of this run, of what it was asked and the fields that it measured."""
        return records.Record(
            id=self.evaluation_id,
            training_id=self.training_id,
            detector=self.detector,
            scale=self.scale,
            seed=self.seed,
            spec=self.spec.model_dump(mode="json"),
            train_fingerprint=self.train_fingerprint,
            val_fingerprint=self.val_fingerprint,
            **fields,
        )


@dataclass(frozen=True)
class Standing:
    """A run and how it stands; the note says why, or what to know about it."""

    run: Run
    state: Literal["done", "running", "failed", "missing"]
    note: str = ""

    def __str__(self):
        return f"{self.state:8}{self.run.label}" + (f": {self.note}" if self.note else "")


def asked(project, scale, only=()):
    """A run for each cell and seed, seed by seed; equal cells share an identity."""
    table = _table(project, scale, only)
    seeds = load_scales(project)[scale].seeds
    return [_run(project, *cell, seed) for seed in seeds for cell in table]


def runs(project, scale, only=()):
    """What there is to run at a scale: `asked`, every identity once. `only` names experiments."""
    unique = {}
    for run in asked(project, scale, only):
        unique.setdefault(run.evaluation_id, run)
    return list(unique.values())


def find(project, *, experiment, row, variant, scale, seed):
    """One run by the values of the notebook's parameters; any seed will do."""
    table = _table(project, scale, [experiment])
    refuse_unknown("row", [row], [names["row"] for names, *_ in table])
    of_row = {names["variant"]: (names, *rest) for names, *rest in table if names["row"] == row}
    refuse_unknown("variant", [variant], of_row)
    return _run(project, *of_row[variant], seed)


def fingerprints(data, root):
    """The identities of the training and validation data (spec.Glyphs or spec.Coco).

    They are those of the `CocoSet`s that a run loads, had without drawing or reading an image. Of
    files of which none is there they are those of the records that came with the project.
    """
    if isinstance(data, Coco):
        files = annotation_files(data, root)
        if data.recorded and not any(path.exists() for path in files):
            return [*data.recorded]
        return [file_fingerprint(path) for path in files]
    from p2s.data import glyphs

    return [glyphs.fingerprint(data, split) for split in glyphs.SPLITS]


def _table(project, scale, only):
    """Names, Spec and own_scenes of every cell, so that a mistake in any is told first."""
    scales, valid = load_scales(project), experiment_names(project)
    refuse_unknown("scale", [scale], scales)
    refuse_unknown("experiment", only, valid)
    table = []
    for name in [each for each in valid if not only or each in only]:
        experiment = load_experiment(project, name)
        for part in (experiment, *experiment.rows):
            refuse_unknown(f"scale in {name}.yaml: at:", part.at, scales)
        if experiment.data_set:
            known = [each for one in scales.values() for each in one.data_sets]
            refuse_unknown(f"data_set in {name}.yaml:", [experiment.data_set], known)
        size = scales[scale].on(experiment.data_set)
        for pair in cells(experiment.sized(scale), size):
            names = _names(experiment, scale, *pair)
            spec = _spec(project, names, size, *pair)
            table.append((names, spec, experiment.own_scenes))
    return table


def _names(experiment, scale, row, variant):
    """The first fields of a Run."""
    return {
        "experiment": experiment.name,
        "row": row.name,
        "variant": variant.name if variant else "",
        "scale": scale,
        "detector": row.detector,
        "measures": experiment.measures,
    }


def _spec(project, names, size, row, variant):
    try:
        return resolve(row, variant, size, project.root)
    except ValueError as error:
        problem = first_problem(error)
        place = f"{project.experiments / names['experiment']}.yaml at scale {names['scale']}"
        raise ValueError(f"{place}: {row.name} {names['variant']}: {problem}") from None


def _run(project, names, spec, own_scenes, seed):
    if own_scenes:
        spec = spec.changed({"data": {"seed": spec.data.seed + seed}})
    train, val = fingerprints(spec.data, project.root)
    training = identity.training_id(spec, train, seed, project.root)
    return Run(
        **names,
        seed=seed,
        spec=spec,
        train_fingerprint=train,
        val_fingerprint=val,
        training_id=training,
        evaluation_id=identity.evaluation_id(training, spec, val, names["measures"]),
    )
