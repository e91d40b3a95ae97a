"""Times: how long trainings and evaluations take, by records, by a step here or by guess."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import NamedTuple

import click

from p2s.data.catalogue import read_catalogue
from p2s.files import bytes_of
from p2s.spec import Glyphs, Recipe, Spec
from p2s.study.experiments import Scale, annotation_files
from p2s.study.project import Project
from p2s.study.records import Outline, kind
from p2s.study.runs import Run

EVALUATION_SHARE = 0.1  # of a training's time: the guess for an evaluation if a scale has none
GUESSED, MEASURED = "guessed from scales.yaml", "measured in earlier runs"


class Pace(NamedTuple):
    """Seconds of a training step and of a tested image, and where they were measured, in words."""

    step: float
    image: float
    where: str


@dataclass(frozen=True, eq=False)
class Times:
    """What the seconds of runs of a scale are told from.

    measure: a Spec's Pace here, asked once a kind of runs. None: records tell, else a guess.
    outlines: of the scale's records.
    """

    project: Project
    scale: Scale
    outlines: Iterable[Outline]
    measure: Callable[[Spec], Pace] | None = None
    sources: dict[str, None] = field(default_factory=dict)  # what has been asked, in order
    paces: dict[tuple, Pace] = field(default_factory=dict)
    counts: dict[Path, int | None] = field(default_factory=dict)  # of images, by annotation file

    def training(self, run: Run) -> float:
        """Seconds of a run's training."""
        iterations = run.spec.recipe.steps
        if self.measure:
            pace = self._pace(run)
            return self._told(pace.where, iterations * pace.step)
        if step := self._steps.get(_kind(run)):
            return self._told(MEASURED, iterations * step)
        return self._told(GUESSED, self._guess(iterations))

    def evaluation(self, run: Run) -> float:
        """Seconds of a run's evaluation."""
        if self.measure and (images := self._images(run.spec)):
            pace = self._pace(run)
            return self._told(pace.where, images * pace.image)
        if seconds := self._evaluations.get(_kind(run)):
            return self._told(MEASURED, seconds)
        if minutes := self.scale.minutes_an_evaluation:
            return self._told(GUESSED, 60 * minutes)
        return self._told(GUESSED, EVALUATION_SHARE * self._guess(run.spec.recipe.steps))

    def _told(self, source, seconds):
        self.sources[source] = None
        return seconds

    def _guess(self, iterations):
        """The scale's minutes are of its own number of iterations."""
        own = self.scale.changes.get("recipe", {}).get("iterations", Recipe().iterations)
        return 60 * self.scale.minutes_a_training * iterations / own

    def _pace(self, run):
        if _kind(run) not in self.paces:
            click.echo(f"measuring a step of {run.detector}", err=True)
            self.paces[_kind(run)] = self.measure(run.spec)
        return self.paces[_kind(run)]

    def _images(self, spec):
        """How many images an evaluation tests, None if nobody knows; a file is read once."""
        if isinstance(spec.data, Glyphs):
            return spec.data.val
        path = annotation_files(spec.data, self.project.root)[1]
        if path not in self.counts:
            self.counts[path] = _images(path, self.project.root)
        return self.counts[path]

    @cached_property
    def _steps(self):
        """Median seconds of a step by kind, of records that tell of a training."""
        told = [one for one in self.outlines if one.train_s and one.iterations]
        return _medians((one.kind, one.train_s / one.iterations) for one in told)

    @cached_property
    def _evaluations(self):
        """Median seconds of an evaluation by kind."""
        told = [one for one in self.outlines if one.evaluate_s]
        return _medians((one.kind, one.evaluate_s) for one in told)


def _medians(pairs):
    of_kinds = defaultdict(list)
    for of_kind, value in pairs:
        of_kinds[of_kind].append(value)
    return {of_kind: median(values) for of_kind, values in of_kinds.items()}


def _kind(run):
    return kind(run.detector, run.spec.model_dump(mode="json"))


def _images(path, root):
    """How many images a file has; of one that is not there as published, else None."""
    if path.exists():
        images = json.loads(bytes_of(path)).get("images", ())
        return len(images) if isinstance(images, list) else None
    published = {
        place: counts
        for source in read_catalogue().values()
        for file in source.files
        for place, counts in file.places(root).items()
    }
    return published.get(path, {}).get("images")
