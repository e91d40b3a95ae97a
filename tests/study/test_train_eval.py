import json
import os
import subprocess
import sys
from ast import literal_eval
from typing import get_args

import pytest
import yaml

from p2s import files
from p2s.report.experiment import GIVES
from p2s.study import records, runs, train_eval
from p2s.study.experiments import Measure
from p2s.study.project import TRAIN_EVAL, Place, Project
from p2s.study.study import Study, find
from tests.support import ROOT

TINY = {"train": 4, "val": 2, "size": 64, "classes": 2}
RECIPE = {"iterations": 2, "batch": 2, "warmup": 1, "short_edge": [64], "long_edge": 64}

STOPPED = """
import os, signal, sys
from p2s.study import train_eval
from p2s.study.project import Project
from p2s.train import processes
from tests.study.test_train_eval import of_nobody
from tests.support.several import ranks_of

def started_and_stopped(*work):
    begun = started(*work)
    os.kill(os.getpid(), signal.SIGTERM)
    return begun

project = Project.at(sys.argv[1])
run = of_nobody(project, 11)
train, _ = train_eval.load_data(run, project)
started, processes._started = processes._started, started_and_stopped
try:
    train_eval.trained(run, project, train)
except KeyboardInterrupt:
    print("interrupted, ranks left:", len(ranks_of(os.getpid())))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Table 5 at a scale as small as can be."""
    folder = tmp_path_factory.mktemp("study")
    scales = yaml.safe_load((ROOT / "experiments" / "scales.yaml").read_text())
    changes = scales["smoke"]["changes"]
    changes |= {"data": changes["data"] | TINY, "recipe": changes["recipe"] | RECIPE}
    for name in ("experiments", "notebooks"):
        (folder / name).mkdir()
    (folder / "experiments" / "scales.yaml").write_text(yaml.safe_dump(scales))
    for name in ("experiments/table5.yaml", TRAIN_EVAL):
        (folder / name).write_text((ROOT / name).read_text())
    return Project(folder, folder / ".p2s")


def measured(project, run):
    """The record of a run, made as the notebook makes it."""
    made = train_eval.made_by(project)
    train, val = train_eval.load_data(run, project)
    assert [train.fingerprint, val.fingerprint] == [run.train_fingerprint, run.val_fingerprint]
    model, curve, train_s = train_eval.trained(run, project, train, val)
    result = train_eval.measured(run, project, model, val)
    result["timings"] |= {"train_s": train_s}
    path = train_eval.write_record(run, project, {**result, **made, "curve": curve})
    assert path == project.record(run)
    return records.read(path)


def test_rows_that_differ_at_test_share_weights_and_each_leaves_a_record(project):
    first, second = Study.load(project, "smoke").runs()[:2]
    records_ = [measured(project, run) for run in (first, second)]
    assert len({each.id for each in records_}) == 2
    assert len({each.weights for each in records_}) == len({e.training_id for e in records_}) == 1
    kept = json.loads((project.weights(first) / "training.json").read_text())
    assert kept["training_id"] == first.training_id == records_[0].training_id
    assert records_[0].curve == records_[1].curve
    assert records_[0].machine["threads"] == 1 and records_[0].timings["train_s"] > 0


def of_nobody(project, seed):
    """A run whose training no other test has."""
    names = {"row": "CascadeRCNN-CenterNet", "variant": "all scores", "scale": "smoke"}
    return find(project, experiment="table5", seed=seed, **names)


def test_a_stop_while_the_ranks_of_a_run_start_is_an_interruption(project):
    environment = {**os.environ, **Place(processes=2).variables(), "P2S_CACHE": str(project.cache)}
    command = [sys.executable, "-c", STOPPED, str(project.root)]
    pipes = {"cwd": ROOT, "env": environment, "capture_output": True, "text": True}
    done = subprocess.run(command, **pipes)
    assert done.stdout == "interrupted, ranks left: 0\n", (done.returncode, done.stderr)


def test_several_processes_train_one_run_and_its_record_says_so(project, monkeypatch):
    for name, value in Place(processes=2).variables().items():
        monkeypatch.setenv(name, value)
    run = of_nobody(project, 12)
    record = measured(project, run)
    assert record.machine["trained_on"] == "cpu, 1 threads; fp32; 2 processes"
    assert "device" not in record.machine
    assert record.metrics["AP"] is not None and len(record.curve["iteration"]) == 2


def test_the_same_run_again_gives_the_same_numbers(project):
    run = Study.load(project, "smoke").runs()[2]
    first = measured(project, run)
    (project.weights(run) / "model.safetensors").unlink()
    again = measured(project, run)
    assert first.weights == again.weights and first.metrics == again.metrics
    assert first.scenes == again.scenes


def test_the_notebook_takes_the_parameters_of_every_run_and_its_defaults_are_a_run():
    from papermill import inspect_notebook

    project = Project.at(ROOT)
    given = runs.given(project, Study.load(project, "smoke").runs()[0])
    assert runs.typed(ROOT / TRAIN_EVAL, given) == given
    defaults = {
        n: literal_eval(p["default"]) for n, p in inspect_notebook(ROOT / TRAIN_EVAL).items()
    }
    defaults.pop("root")
    assert find(project, **defaults).scale == "smoke"


def test_a_large_vocabulary_is_read_first_and_tested_against_both_truths(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(train_eval, "pretrain", lambda *where: read.append(where))
    monkeypatch.setattr(train_eval, "WATCHED", 9)  # of 16: AP of a few on the way is no oracle's
    scales = yaml.safe_load((ROOT / "experiments" / "scales.yaml").read_text())
    changes, lvis = scales["smoke"]["changes"], scales["smoke"]["data_sets"]["lvis"]
    changes |= {"recipe": changes["recipe"] | RECIPE, "data": changes["data"] | {"size": 64}}
    lvis |= {"backbone": {"weights": "glyphs"}}
    lvis["data"] |= {"classes": 12, "train": 12, "val": 16}
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "scales.yaml").write_text(yaml.safe_dump(scales))
    for name in ("experiments/table7.yaml", TRAIN_EVAL):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text())
    project = Project(tmp_path, tmp_path / ".p2s")
    [*_, run] = Study.load(project, "smoke").runs()
    found = measured(project, run).metrics
    assert {"AP", "APr", "AP_fixed", "AP_full", "APf_full", "AR_unannotated"} <= found.keys()
    [(backbone, spec, cache)] = read
    assert (
        spec == run.spec
        and cache == project.cache
        and "fpn_lateral3.weight" in backbone.state_dict()
    )
    measured(project, run)
    assert len(read) == 1  # a finished training needs it no more


def test_ap_is_watched_at_each_quarter_and_moves_no_weight(project):
    run = Study.load(project, "smoke").runs()[0]
    record = measured(project, run)
    at = [
        k
        for k, value in zip(record.curve["iteration"], record.curve["AP"], strict=True)
        if value is not None
    ]
    total = run.spec.recipe.iterations
    assert at == sorted({-(-total * quarter // 4) - 1 for quarter in range(1, 5)})
    (project.weights(run) / "model.safetensors").unlink()
    train, _ = train_eval.load_data(run, project)
    _, curve, _ = train_eval.trained(run, project, train)
    assert (
        "AP" not in curve
        and files.file_sha256(project.weights(run) / "model.safetensors") == record.weights
    )


def test_every_measure_that_can_be_asked_for_is_made_and_shown():
    assert set(get_args(Measure)) == train_eval.MEASURES.keys() == GIVES.keys()
