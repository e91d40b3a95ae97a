"""experiments/executors.yaml: strict, with a line for every slip."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from p2s.study import executors
from p2s.study.project import Place, Project
from tests.support import ROOT


@pytest.fixture
def written(tmp_path):
    """Writes executors.yaml and returns its Project."""

    def write(text):
        (tmp_path / "experiments").mkdir()
        (tmp_path / "experiments" / "executors.yaml").write_text(text)
        return Project(tmp_path, tmp_path / "cache")

    return write


def test_the_projects_own_file_holds_every_field_at_its_default():
    project = Project.at(ROOT)
    for name, default in (("local", executors.Local()), ("slurm", executors.Slurm())):
        loaded = executors.load(project, name)
        assert loaded == default and loaded.model_fields_set == set(type(default).model_fields)


def test_a_command_has_the_last_word_on_jobs(written):
    project = written("{local: {jobs: 3}, slurm: {jobs: 5, gpus: 8}}")
    assert [executors.load(project, name).jobs for name in ("local", "slurm")] == [3, 5]
    chosen = executors.load(project, "slurm", jobs=2)
    assert (chosen.jobs, chosen.gpus, chosen.minutes) == (2, 8, 240)
    with pytest.raises(
        ValueError, match="executor slurm: field .*device.*; valid: jobs, partition"
    ):
        executors.load(project, "slurm", device="cuda")
    with executors.load(project, jobs=4).open(project) as pool:
        assert isinstance(pool, ThreadPoolExecutor) and pool._max_workers == 4


def test_a_place_reaches_a_kernel_by_the_environment(written, monkeypatch):
    text = (
        "{local: {device: auto, processes: 8, save_minutes: 2.5}, slurm: {gpus: 8, processes: 8}}"
    )
    project = written(text)
    [local, slurm] = [executors.load(project, name).place for name in ("local", "slurm")]
    assert (local, slurm) == (Place("auto", 8, 2.5), Place("cuda", 8, 1.0))
    for place in (local, slurm, Place()):
        for name, value in place.variables().items():
            monkeypatch.setenv(name, value)
        assert Place.here() == place
    for name in Place().variables():
        monkeypatch.delenv(name)
    assert Place.here() == Place("cpu", 1, 1.0)


@pytest.mark.parametrize(
    "text, told",
    [
        (
            "slurm:\n  partition: gpu\n  minuts: 4\n",
            r"yaml: line 2: slurm: unknown minuts; valid: ",
        ),
        ("slurm:\n  minutes: 0\n", r"yaml: line 2: slurm\.minutes: .*greater than 0"),
        ("slurm:\n  minutes: 2.5\n", r"yaml: line 2: slurm\.minutes: .*valid integer"),
        ("slurm:\n  gpus: true\n", r"yaml: line 2: slurm: gpus: True is not a number"),
        ("slurm:\n  partition: ''\n", r"yaml: line 2: slurm\.partition: .*at least 1"),
        ("slrm: {}\n", r"yaml: line 1: unknown slrm; valid: local, slurm"),
        ("local: 4\n", r"yaml: line 1: local: .*valid dictionary"),
    ],
)
def test_a_slip_is_a_line_that_names_file_and_field(written, text, told):
    with pytest.raises(ValueError, match=told) as caught:
        executors.load(written(text))
    assert "executors.yaml" in str(caught.value) and "\n" not in str(caught.value)


def test_an_unknown_executor_is_told_with_the_valid_ones(written):
    with pytest.raises(ValueError, match=r"executors\.yaml: 'pbs'; valid: local, slurm$"):
        executors.load(written("{}"), "pbs")
