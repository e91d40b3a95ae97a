"""A project of three experiments with invented records, one of them at another scale."""

import pytest

from p2s.study import records
from p2s.study.experiments import experiment_names
from p2s.study.study import Study
from tests.support import fakes

KEPT = {"table5", "table6", "gate"}


def few(folder):
    """The project in a folder, without records."""
    project = fakes.project(folder)
    for name in {*experiment_names(project)} - KEPT:
        (project.experiments / f"{name}.yaml").unlink()
    return project


@pytest.fixture(scope="session")
def project(tmp_path_factory):
    project = few(tmp_path_factory.mktemp("project"))
    one_stage = Study.load(project, "gated").runs(["gate"])[0]
    for run in [one_stage, *Study.load(project, "desk").runs(["table5"])]:
        records.write(fakes.record(run), project.records(run.scale))
    return project
