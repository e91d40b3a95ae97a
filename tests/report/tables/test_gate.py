"""The gate's points from invented numbers, whose place in the ranges is known."""

import numpy as np
import pytest

from p2s.report.figures import gate as figures
from p2s.report.tables import gate
from p2s.study.project import Project
from tests.support import ROOT, fakes

STANDING = {"RetinaNet": -5, "CascadeRCNN-RPN": 3, "CascadeRCNN-RPN (P3-P7)": 3.5}  # over 42
GAIN = {"as trained": 0, "twice as long": 1, "half as long": -4, "a quarter as long": -12}
GEOMETRY = {"cells": [4, 8, 15], "levels": [0.5, 0.3, 0.2, 0.1, 0.001], "above": 0.6}


@pytest.fixture(scope="module")
def results():
    empty = fakes.empty("gate", "gated")

    def fill(frame):
        ap = 42 + frame["row"].map(STANDING).fillna(0) + frame["variant"].map(GAIN)
        ap += (
            0.2 * frame["seed"]
            + (frame["row"] == "GFL") * (frame["variant"] == "twice as long") * 4
        )
        frame.loc[frame["metric"] == "AP", "value"] = ap
        frame.loc[frame["metric"] == "TIDE_Bkg", "value"] = 1.5
        return frame

    findings = {"geometry": GEOMETRY | {"proposals_an_object": 26.0}}
    records = [run.record(metrics={}, findings=findings) for run in empty.runs]
    return fakes.with_lines(fakes.holding(empty, records), fill)


def met(results):
    return gate.points(results).set_index("what")["met"].to_dict()


def test_each_point_is_met_where_its_mean_is_in_the_range(results):
    points = met(results)
    assert not points.pop("GFL: twice as long")  # gains 5
    assert not points.pop("RetinaNet over FasterRCNN-RPN")  # -5
    assert not points.pop("objects on the level with fewest")  # .001
    assert not points.pop("FasterRCNN-RPN: background's cost in AP50")  # 1.5
    assert len(points) == 15 and all(points.values())


def test_what_is_missed_is_told_of_the_rows_that_it_bears_on(results):
    missed = gate.missed(gate.points(results))
    assert set(missed) == {"GFL", "RetinaNet", gate.ACROSS, ""}
    assert missed[gate.ACROSS] == ("geometry, objects on the level with fewest: 0.0",)
    assert missed[""] == ("errors, FasterRCNN-RPN: background's cost in AP50: 1.5",)


def test_a_point_without_a_record_is_neither_met_nor_missed(results):
    nothing = fakes.with_lines(fakes.holding(results, []), lambda frame: frame.assign(value=np.nan))
    frame = gate.points(nothing)
    assert frame["met"].isna().all() and set(gate.readable(frame)["met"]) == {"–"}


def test_the_page_tells_what_is_wanted_and_what_is_missed(results):
    shown = gate.readable(gate.points(results)).set_index("what")
    assert shown.loc["GFL: twice as long", "wanted"] == "below 2"
    assert shown.loc["GFL: twice as long", "met"] == "**missed**"
    assert shown.loc["CascadeRCNN-RPN over FasterRCNN-RPN", "here"].startswith("3.0 ± 0.0 (3)")
    errors = gate.errors(results)
    assert errors.loc["COCO", "Bkg"] == "4.0" and errors.loc["GFL", "Bkg"] == "1.5 ± 0.0 (3)"


def test_the_picture_tells_where_each_row_begins_and_ends(results):
    picture = figures.lengths(results)
    assert "CenterNet* 30.2 ± " in picture.alt and picture.content().startswith(b"<?xml")


def test_photographs_have_learnt_and_stand_by_the_rows_that_they_have():
    """CenterNet* is 5 below the reference; RetinaNet gains 3 at twice the length."""
    project = Project.at(ROOT)
    trained, longer = (fakes.results(project, name, "highway") for name in ("highway", "learnt"))
    height = {"CenterNet*": 35.0, "CascadeRCNN-RPN (P3-P7)": 43.0}

    def fill(frame):
        ap = frame["row"].map(height).fillna(40.0) + 0.1 * frame["seed"]
        more = 3.0 * (frame["row"] == "RetinaNet") * (frame["variant"] == gate.LONGER)
        frame.loc[frame["metric"] == "AP", "value"] = ap + more
        return frame

    frame = gate.of_photographs(*(fakes.with_lines(one, fill) for one in (trained, longer)))
    assert len(frame) == 6 + 4 and set(gate.missed(frame)) == {"CenterNet*", "RetinaNet"}
