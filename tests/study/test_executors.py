"""experiments/executors.yaml: strict, with a line for every slip."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml

from p2s.study import executors
from p2s.study.project import Place, Project
from tests.support import ROOT
from tests.support.stub_study import SCALE


@pytest.fixture
def written(tmp_path):
    """Writes executors.yaml and returns its Project."""

    def write(text):
        (tmp_path / "experiments").mkdir(exist_ok=True)
        (tmp_path / "experiments" / "executors.yaml").write_text(text)
        return Project(tmp_path, tmp_path / "cache")

    return write


def test_the_projects_own_file_holds_every_field_at_its_default():
    project = Project.at(ROOT)
    content = yaml.safe_load((project.experiments / "executors.yaml").read_text())
    for name, default in (("local", executors.Local()), ("slurm", executors.Slurm())):
        loaded = executors.load(project, name, "tiny")
        assert loaded == default and set(content[name]) == set(type(default).model_fields)


def test_a_command_has_the_last_word_on_jobs(written):
    project = written("{local: {jobs: 3}, slurm: {jobs: 5, gpus: 8}}")
    assert [executors.load(project, name, "tiny").jobs for name in ("local", "slurm")] == [3, 5]
    chosen = executors.load(project, "slurm", "tiny", jobs=2)
    assert (chosen.jobs, chosen.gpus, chosen.minutes) == (2, 8, 240)
    with pytest.raises(ValueError, match="executor slurm has no --device: .*yaml says where"):
        executors.load(project, "slurm", "tiny", device="cuda")
    with executors.load(project, "local", "tiny", jobs=4).open(project) as pool:
        assert isinstance(pool, ThreadPoolExecutor) and pool._max_workers == 4


def test_a_place_reaches_a_kernel_by_the_environment(written, monkeypatch):
    local = "local: {device: auto, processes: 8, save_minutes: 2.5, workers: 3}"
    project = written(f"{{{local}, slurm: {{gpus: 8, processes: 8, precision: bf16}}}}")
    [local, slurm] = [executors.load(project, name, "tiny").place for name in ("local", "slurm")]
    assert local == Place("auto", "fp32", processes=8, workers=3, save_minutes=2.5)
    assert slurm == Place("cuda", "bf16", processes=8, workers=0, save_minutes=1.0)
    for place in (local, slurm, Place()):
        for name, value in place.variables().items():
            monkeypatch.setenv(name, value)
        assert Place.here() == place
    for name in Place().variables():
        monkeypatch.delenv(name)
    assert Place.here() == Place("cpu", "fp32", 1, 0, 1.0)


def test_a_scale_has_fields_of_its_own_and_a_command_overrides_them(written):
    project = written("{local: {jobs: 3, processes: 2}, at: {tiny: {local: {processes: 8}}}}")
    (project.experiments / "scales.yaml").write_text(yaml.safe_dump({"tiny": SCALE, "big": SCALE}))
    found = [executors.load(project, "local", scale) for scale in ("tiny", "big")]
    assert [(each.jobs, each.processes) for each in found] == [(3, 8), (3, 2)]
    assert executors.load(project, "local", "tiny", processes=4).processes == 4
    with pytest.raises(ValueError, match=r"jobs: .*greater than 0"):
        executors.load(written("at: {tiny: {local: {jobs: 0}}}"), "local", "tiny")
    with pytest.raises(ValueError, match=r"unknown scale in .*yaml: at: 'tyny'; valid: big, tiny"):
        executors.load(written("at: {tyny: {}}"), "local", "tiny")


def test_paper_asks_for_eight_gpus_of_a_cluster_and_takes_those_that_are_here():
    project = Project.at(ROOT)
    [local, slurm] = [executors.load(project, name, "paper").place for name in executors.NAMES]
    assert (local.device, slurm.device, slurm.processes) == ("auto", "cuda", 8)


def test_a_device_that_cannot_do_it_is_told_before_any_run(written):
    project = written("{local: {precision: tf32}}")
    with pytest.raises(ValueError, match="'tf32' is of GPUs"):
        executors.load(project, "local", "tiny").open(project)
    with pytest.raises(ValueError, match="'cuda:7' is not here"):
        executors.load(project, "local", "tiny", device="cuda:7").open(project)


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
        ("slrm: {}\n", r"yaml: line 1: unknown slrm; valid: at, local, slurm"),
        ("local: {device: tpu}\n", r"line 1: local\.device: 'tpu' .valid: cpu, cuda, cuda:1 and"),
        ("local: {device: 'cuda:-1'}\n", r"line 1: local\.device: 'cuda:-1' .valid: cpu, cuda"),
        ("local: 4\n", r"yaml: line 1: local: .*valid dictionary"),
    ],
)
def test_a_slip_is_a_line_that_names_file_and_field(written, text, told):
    with pytest.raises(ValueError, match=told) as caught:
        executors.load(written(text), "local", "tiny")
    assert "executors.yaml" in str(caught.value) and "\n" not in str(caught.value)


def test_an_unknown_executor_is_told_with_the_valid_ones(written):
    with pytest.raises(ValueError, match=r"executors\.yaml: 'pbs'; valid: local, slurm$"):
        executors.load(written("{}"), "pbs", "tiny")
