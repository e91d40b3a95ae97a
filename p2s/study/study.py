"""The study of a scale, loaded once and handed on.

YAML is read, Specs are resolved and records are parsed one time, whoever asks.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

from p2s.files import first_problem
from p2s.spec import Glyphs, Spec
from p2s.spec.memory import require_made
from p2s.spec.parameters import require
from p2s.study import records
from p2s.study.experiments import (
    Experiment,
    Row,
    Scale,
    Variant,
    cells,
    experiment_names,
    load_experiment,
    load_scales,
    refuse_unknown,
    resolve,
)
from p2s.study.project import Project
from p2s.study.records import Record
from p2s.study.runs import Run, identified


class Cell(NamedTuple):
    """A row and a variant of an experiment at a scale, and the Spec that both make."""

    experiment: Experiment
    row: Row
    variant: str  # "" in an experiment without variants
    spec: Spec


@dataclass(frozen=True, eq=False)  # equal to itself alone: what is derived from it is kept
class Study:
    """The experiments of a project at a scale: what they ask for, and what has been recorded."""

    project: Project
    scale: str
    scales: dict[str, Scale]
    experiments: dict[str, Experiment]
    by_scale: dict[str, "Study"] = field(default_factory=dict, repr=False)  # what `at` has made

    @classmethod
    def load(cls, project: Project, scale: str) -> "Study":
        """Read all experiment files; ValueError names the first slip in any of them."""
        scales = load_scales(project)
        refuse_unknown("scale", [scale], scales)
        experiments = {name: load_experiment(project, name) for name in experiment_names(project)}
        for experiment in experiments.values():
            _refuse_unknown_places(experiment, scales)
        return cls(project, scale, scales, experiments)

    def at(self, scale: str) -> "Study":
        """The same experiments at another scale; asked again, the same study."""
        refuse_unknown("scale", [scale], self.scales)
        self.by_scale.setdefault(self.scale, self)
        if scale not in self.by_scale:
            self.by_scale[scale] = replace(self, scale=scale)
        return self.by_scale[scale]

    def asked(self, only: Iterable[str] = ()) -> list[Run]:
        """A run for each cell and seed, seed by seed; equal cells share an identity."""
        refuse_unknown("experiment", only, self.experiments)
        names = [name for name in self.experiments if not only or name in only]
        table = [cell for name in names for cell in self._cells(name)]  # a mistake is told first
        seeds = self.scales[self.scale].seeds
        pairs = [(cell, k) for k in range(len(seeds)) for cell in table]
        asked = [(cell, k) for cell, k in pairs if k < (cell.experiment.seeds or len(seeds))]
        return [self._run(cell, seeds[k]) for cell, k in asked]

    def runs(self, only: Iterable[str] = ()) -> list[Run]:
        """What there is to run: `asked`, every identity once. `only` names experiments."""
        unique: dict[str, Run] = {}
        for run in self.asked(only):
            unique.setdefault(run.evaluation_id, run)
        return list(unique.values())

    def find(self, experiment: str, row: str, variant: str, seed: int) -> Run:
        """One run by the values of the notebook's parameters; any seed from 0 will do."""
        require(int, 0, seed=seed)
        refuse_unknown("experiment", [experiment], self.experiments)
        table = self._cells(experiment)
        refuse_unknown("row", [row], [cell.row.name for cell in table])
        of_row = {cell.variant: cell for cell in table if cell.row.name == row}
        refuse_unknown("variant", [variant], of_row)
        return self._run(of_row[variant], seed)

    @cached_property
    def records(self) -> dict[str, Record]:
        """Usable records of the scale by id; a damaged one is none."""
        return records.survey(self.project.records(self.scale))[0]

    def record(self, run: Run) -> Record | None:
        """The usable record of a run; none that says it is of another training, scale or seed."""
        found = self.records.get(run.evaluation_id)
        return found if found and not records.misfit(records.asked(found), run) else None

    @cached_property
    def _resolved(self) -> dict[str, list[Cell]]:
        return {}

    @cached_property
    def _identified(self) -> dict[tuple[str, str, str, int], Run]:
        return {}

    def _cells(self, name: str) -> list[Cell]:
        if name not in self._resolved:
            experiment = self.experiments[name]
            size = self.scales[self.scale].on(experiment.data_set)
            pairs = cells(experiment.sized(self.scale), size)
            self._resolved[name] = [self._cell(experiment, size, *pair) for pair in pairs]
        return self._resolved[name]

    def _cell(self, experiment: Experiment, size: Scale, row: Row, variant: Variant | None) -> Cell:
        name = variant.name if variant else ""
        try:
            spec = resolve(row, variant, size, self.project.root)
            require_made(spec)
            return Cell(experiment, row, name, spec)
        except ValueError as error:
            path = self.project.experiments / experiment.name
            place = f"{path}.yaml at scale {self.scale}: {row.name} {name}"
            raise ValueError(f"{place}: {first_problem(error)}") from None

    def _run(self, cell: Cell, seed: int) -> Run:
        key = cell.experiment.name, cell.row.name, cell.variant, seed
        if key not in self._identified:
            names = {
                "experiment": cell.experiment.name,
                "row": cell.row.name,
                "variant": cell.variant,
                "scale": self.scale,
                "seed": seed,
                "detector": cell.row.detector,
                "measures": cell.experiment.measures,
                "weights": cell.row.weights,
            }
            spec = cell.spec
            if start := self._start(cell, seed):
                names["start"] = start
                recipe = {"start": f"training {start.training_id}"}
                spec = spec.changed({"recipe": recipe, "backbone": {"weights": None}})
            own = cell.experiment.own_scenes or self.scales[self.scale].own_scenes
            if own and isinstance(spec.data, Glyphs):
                spec = spec.changed({"data": {"seed": spec.data.seed + seed}})
            self._identified[key] = identified(self.project, names, spec)
        return self._identified[key]

    def _start(self, cell, seed):
        """The run of the row that it starts from, if it names one."""
        if not cell.row.start:
            return None
        name, wanted = cell.experiment.name, (cell.row.start, cell.variant)
        for one in self._cells(name):
            if (one.row.name, one.variant) == wanted:
                return self._run(one, seed)
        told = f"start: row {cell.row.start} has no {cell.variant} at scale {self.scale}"
        raise ValueError(f"{name}.yaml: row {cell.row.name}: {told}")


def find(
    project: Project, *, experiment: str, row: str, variant: str, scale: str, seed: int
) -> Run:
    """One run of a project by the values of the notebook's parameters: see `Study.find`."""
    return Study.load(project, scale).find(experiment, row, variant, seed)


def _refuse_unknown_places(experiment, scales):
    """The scales that an experiment changes something at, and the data set that it asks for."""
    for part in (experiment, *experiment.rows):
        refuse_unknown(f"scale in {experiment.name}.yaml: at:", part.at, scales)
    if experiment.data_set:
        known = [name for scale in scales.values() for name in scale.data_sets]
        refuse_unknown(f"data_set in {experiment.name}.yaml:", [experiment.data_set], known)
