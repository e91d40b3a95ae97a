"""The cost of a study: counted once, by records of its kind, and what is done as taken."""

import pytest

from p2s.data.glyphs import stored
from p2s.spec import Glyphs
from p2s.study import cost, status
from p2s.study.study import Study
from tests.support import stub_study
from tests.support.stub_study import record_of


@pytest.fixture
def project(tmp_path, monkeypatch):
    return stub_study.project(tmp_path, monkeypatch)


def found(project):
    study = Study.load(project, "tiny")
    return cost.costs(study, status.standings(study)).set_index("experiment").loc["t"]


def test_before_anything_has_run_hours_are_the_scales_guess(project):
    row = found(project)  # two trainings of an hour, three evaluations of a tenth
    assert (row["trainings"], row["evaluations"], row["hours taken"]) == (2, 3, 0)
    assert row["hours ahead"] == pytest.approx(2 + 3 * (0.1 + status.START_S / 3600))
    told = cost.table(Study.load(project, "tiny"), jobs=2)
    assert "| t " in told and "memory of 2 at once: no record tells yet" in told
    assert "with 2 at once about 1.2 hours ahead" in told


def test_what_is_done_is_taken_and_a_training_counts_once(project):
    timings = {"train_s": 1800.0, "evaluate_s": 360.0}
    for row in ("good", "class"):  # of one training
        record_of(project, row, timings=timings)
    row = found(project)
    assert row["hours taken"] == pytest.approx(0.5 + 2 * 0.1)
    assert (row["trainings"], row["evaluations"]) == (1, 1)


def test_a_scale_took_what_its_experiments_took_together(project):
    times = {"good": 1800.0, "class": 1800.0, "bad": 900.0}  # the first two of one training
    for row, seconds in times.items():
        timings, machine = {"train_s": seconds, "evaluate_s": 360.0}, {"memory_mb": seconds}
        record_of(project, row, timings=timings, machine=machine)
    taken = cost.taken(Study.load(project, "tiny"))
    assert taken[:2] == (2, 3) and taken.hours == pytest.approx(found(project)["hours taken"])
    assert (taken.longest, taken.memory) == (0.5, 1800)


def test_memory_and_disk_are_the_most_that_records_of_the_kind_tell(project):
    study = Study.load(project, "tiny")
    ahead = status.still_ahead(study, status.standings(study))
    for row, memory in (("good", 700), ("class", 900), ("bad", 800)):
        record_of(project, row, machine={"memory_mb": memory, "weights_mb": memory // 100})
    needs = cost.needs(Study.load(project, "tiny"), ahead)
    assert (needs.memory, needs.weights) == (900, 9 + 8)
    for path in project.records("tiny").iterdir():
        path.unlink()
    record_of(project, "good", machine={"memory_mb": 700})
    # another kind counts as the largest that is known; of disk nothing is
    assert cost.needs(Study.load(project, "tiny"), ahead)[:2] == (700, None)


def test_scenes_take_the_disk_that_is_told(tmp_path):
    data = Glyphs(kind="glyphs", train=3, val=2, size=66, classes=2)
    folder = stored.prepare(data, tmp_path).images
    assert sum(path.stat().st_size for path in folder.rglob("*.bmp")) == cost._scenes(data)
