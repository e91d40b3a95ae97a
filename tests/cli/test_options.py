"""Options: their words, and the experiment behind the defaults of `p2s train`."""

from pathlib import Path
from typing import get_args

import click
import pytest

from p2s.cli import job
from p2s.cli.main import main
from p2s.model.device import PRECISIONS
from p2s.study.executors import Local, Slurm
from p2s.study.project import Project
from p2s.study.study import Study
from tests.support import ROOT
from tests.support.commands import p2s

ADAMW = {"recipe": {"optimizer": "adamw", "rate": 0.004}}  # as --set takes them
OPTIMISERS = {"SGD": (), "AdamW": (ADAMW,)}
TRUNKS = {"from scratch": None, "Lite0": "lite0"}


@pytest.fixture(scope="module")
def runs():
    return Study.load(Project.at(ROOT), "pictures").asked(["defaults"])


def asked_of_train(row, classes):
    """The Spec of `p2s train` with the options that a row names."""
    detector, optimiser, trunk, *_ = row.split(", ")
    files = {"train": "a.json", "val": "b.json", "images": "images", "output": "model"}
    options = {"detector": detector, "backbone": TRUNKS[trunk], "settings": OPTIMISERS[optimiser]}
    asked = job.Job(**files, **options, seed=0, iterations=2000, weights=None)
    return asked.spec([str(number) for number in range(classes)])


def test_a_row_is_what_train_makes_of_its_options(runs, monkeypatch):
    monkeypatch.setattr(job, "trunk_file", lambda name: Path("there.pth"))
    for run in runs:
        spec = asked_of_train(run.row, run.spec.num_classes)
        where = {"weights": run.spec.backbone.weights}
        test = {name: getattr(run.spec.test, name) for name in ("fusion", "score_threshold")}
        spec = spec.changed({"backbone": where, "test": test})
        assert spec.model_copy(update={"data": run.spec.data}) == run.spec, run.label


def test_all_see_the_same_three_sets_and_scores_share_a_training(runs):
    sets = {run.train_fingerprint for run in runs}
    assert len(sets) == 3 and len({run.training_id for run in runs}) == 6 * 3
    by_training = {}
    for run in runs:
        by_training.setdefault(run.training_id, set()).add(run.spec.test.score_threshold)
    assert all(thresholds == {0.0, 0.05} for thresholds in by_training.values())


def test_the_command_offers_the_precisions_that_there_are():
    assert f"[{'|'.join(PRECISIONS)}]" in p2s("train", "--help").output


@pytest.mark.parametrize("executor", [Local, Slurm])
def test_so_does_an_executor(executor):
    assert get_args(executor.model_fields["precision"].annotation) == PRECISIONS


def numbers_of(group, *names):
    """The words of each command and each of its options that is a number."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from numbers_of(command, *names, name)
        else:
            for param in command.params:
                if isinstance(param.type, click.types.IntParamType | click.types.FloatParamType):
                    yield pytest.param((*names, name, param.opts[0]), param.nargs, id=param.name)


@pytest.mark.parametrize("words, count", [*numbers_of(main)])
@pytest.mark.parametrize("value", ["٣", "1_0", " 1", "½"])
def test_a_number_is_in_plain_digits(words, count, value):
    done = p2s(*words, *[value] * count)
    assert done.exit_code == 2 and f"{value!r} is not a number in digits 0 to 9" in done.stderr
