"""A dry run of a study: every model and optimiser is built, nothing is trained and no data read."""

from collections.abc import Iterable

import click
from tqdm import tqdm

from p2s.files import printable
from p2s.model.zoo import build
from p2s.study.status import needs
from p2s.study.study import Study
from p2s.train.descent import optimizer

SPEC_PARTS = ("backbone", "first_stage", "second_stage", "recipe")


def dry_run(study: Study, *, only: Iterable[str] = ()) -> None:
    """Tell of each training of a seed its network, its settings, and those of its evaluations.

    Files that are not there yet are named at the end: a training needs them, a dry run does not.
    """
    trainings, runs = {}, study.runs(only)
    for run in runs:
        key = run.train_fingerprint, str(run.spec.training_fields())
        trainings.setdefault(key, {}).setdefault(str(run.spec.test), run)
    for evaluations in tqdm(trainings.values(), "dry run", disable=None):
        _tell(list(evaluations.values()))
    click.echo(f"{len(trainings)} trainings a seed can be built")
    for line in needs(runs, study.project):
        click.echo(printable(line))


def _tell(evaluations):
    first = evaluations[0]
    told = printable(f"{first.experiment} | {first.row} ({first.detector})")
    click.echo(f"{told}: {_network(first.spec)}")
    for part in SPEC_PARTS:
        click.echo(f"    {part}: {_settings(getattr(first.spec, part))}")
    recipe = first.spec.recipe
    click.echo(f"    rate for a batch of {recipe.batch}: {_text(recipe.scaled_rate)}")
    for run in evaluations:
        name = printable(" | ".join(filter(None, (run.experiment, run.row, run.variant))))
        click.echo(f"    test, {name}: {_settings(run.spec.test)}")


def _network(spec):
    model = build(spec.without_weights())
    groups = optimizer(model, spec.recipe).param_groups
    learnt = sum(weight.numel() for group in groups for weight in group["params"])
    levels = "P{}-P{}".format(*spec.levels)
    stages = f"{spec.first} and {spec.second} on {levels}, {spec.num_classes} classes"
    return f"{stages}, {learnt / 1e6:.1f} M weights to learn"


def _settings(part):
    return ", ".join(f"{name} {_text(value)}" for name, value in part)


def _text(value):
    if isinstance(value, tuple):
        return "/".join(map(_text, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
