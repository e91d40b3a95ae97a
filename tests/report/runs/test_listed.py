"""All records are listed once, with what asked for them and what sets them apart."""

import numpy as np
import pytest

from p2s.report.runs import listed
from p2s.study import records
from p2s.study.study import Study
from tests.report.runs.conftest import few
from tests.support import fakes


@pytest.fixture(scope="module")
def every(project):
    return listed.every(project)


def test_every_record_is_listed_once_the_newest_scale_first(project, every):
    files = [path.stem for path in project.root.glob("results/runs/*/*.json")]
    assert sorted(one.record.id for one in every) == sorted(files)
    assert every[0].record.scale == "gated" and {one.record.scale for one in every[1:]} == {"desk"}


def test_a_record_names_all_experiments_that_ask_for_it(every):
    told = {one.experiments for one in every}
    assert {"table5, table6", "table5"} <= told
    shared = next(one for one in every if one.experiments == "table5, table6")
    assert {run.evaluation_id for run in shared.runs} == {shared.record.id}
    assert shared.row == f"{shared.runs[0].row} | {shared.runs[0].variant}"


def test_a_record_that_nothing_asks_for_stands_last_by_its_detector(project):
    other = fakes.record(Study.load(project, "desk").runs(["table5"])[0])
    records.write(other.model_copy(update={"id": "f" * 16}), project.records("desk"))
    last = listed.every(project)[-1]
    (project.records("desk") / f"{'f' * 16}.json").unlink()
    assert (last.record.id, last.experiments) == ("f" * 16, listed.NOT_ASKED)
    assert last.row == last.record.detector


def test_settings_are_those_that_are_not_the_papers(every):
    one = next(one for one in every if one.record.detector == "CascadeRCNN-CenterNet")
    told = dict(line.split(" ", 1) for line in one.settings())
    assert told["backbone.depth"] == "18" and told["data.kind"] == "glyphs"
    assert not {"first", "second", "first_stage.extra_positives"} & told.keys()
    unknown = listed.Listed(one.record.model_copy(update={"detector": "gone"}), ())
    assert len(unknown.settings()) > len(one.settings())


def test_the_frame_has_a_line_a_record_in_percent_and_minutes(every):
    frame = listed.frame(every)
    assert [*frame.columns] == [*listed.COLUMNS] and len(frame) == len(every)
    line, record = frame.iloc[3], every[3].record
    assert line["id"] == record.id and line["AP"] == record.metrics["AP"]
    assert line["minutes"] == 15.0 and np.isnan(line["APs"])
    assert frame["score"][0] == "–" and {*frame["score"][1:]} == {"class", "product", "released"}


def test_without_records_it_is_empty_and_may_be_asked(tmp_path):
    frame = listed.frame(listed.every(few(tmp_path)))
    assert len(frame.query("AP > 30").sort_values("AP").round(1).set_index("id")) == 0
