"""Waterfalls and dependences on invented numbers."""

import numpy as np
import pytest

from p2s.report.figures import steps
from tests.support import fakes


def filled(name, value):
    """The Results of an experiment at scale gated whose AP is `value` of its lines."""
    empty = fakes.empty(name, "gated")

    def fill(frame):
        ap = frame["metric"] == "AP"
        frame.loc[ap, "value"] = value(frame[ap], empty) + 0.01 * frame.loc[ap, "seed"]
        return frame

    return fakes.with_lines(empty, fill)


def by_row(lines, results):
    return lines["row"].map({row: 30.0 + 2 * k for k, row in enumerate(results.rows)})


def by_setting(lines, results):
    product = (lines["row"] == "P(C|O) P(O)").astype(float)
    return 40 + product * np.where(lines["variant"] == "classes: 30", -1.5, 0.5)


def test_roads_are_contrasts_that_follow_each_other():
    contrasts = filled("factors", by_row).contrasts
    roads = [[contrast.name for contrast in road] for road in steps.chains(contrasts)]
    assert [road[-1] for road in roads] == ["product", "product"] and [*map(len, roads)] == [6, 6]


def test_each_step_begins_where_the_last_ended():
    picture = steps.waterfall(filled("factors", by_row))
    bars = picture.axes[0].patches
    assert len(bars) == 6
    for k, bar in enumerate(bars):
        assert (bar.get_x(), bar.get_width()) == (pytest.approx(2 * k), pytest.approx(2))
    assert "product +2.0 ± 0.0 (3)" in picture.alt and picture.content()


def test_a_dependence_has_a_panel_a_factor_and_tells_each_setting():
    results = filled("product", by_setting)
    picture = steps.dependence(results)
    labels = [panel.get_xlabel() for panel in picture.axes]
    assert labels == ["length", "classes", "proposals", "fragments", "strangers"]
    assert "classes 30 −1.5" in picture.alt and "length 3000 +0.5" in picture.alt
    assert np.allclose(steps.gains(results)["plain"], 0.5) and picture.content()


def test_each_factor_has_the_setting_that_changes_nothing_in_its_place():
    frame = steps.gains(filled("product", by_setting)).drop_duplicates(["factor", "setting"])
    settings = {name: [*part] for name, part in frame.groupby("factor")["setting"]}
    assert settings["length"] == ["375", "750", "1500", "3000"]
    assert settings["classes"] == ["3", "10", "30"] and len(settings["proposals"]) == 5
    assert settings["fragments"] == ["0", "1", "2"] and settings["strangers"] == ["0", "4", "8"]
