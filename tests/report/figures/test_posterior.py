"""How far what was learnt is from the truth, drawn from the committed records."""

import numpy as np

from p2s.report.figures import posterior as figures
from p2s.report.results import results
from p2s.report.tables import posterior as tables
from p2s.study.project import Project
from p2s.study.study import Study
from tests.support import ROOT


def test_distances_are_drawn_as_the_table_has_them():
    main = results(Study.load(Project.at(ROOT), "desk"), "posterior").main
    frame = tables.learnt(main)
    errors = tables.errors(frame)
    errors = errors[(errors["when"] == "relative") & (errors["from"] == "truth")]
    panels = {panel.get_title(): panel for panel in figures.distances(main, frame).axes}
    assert list(panels) == list(tables.NAMES.values())
    for number, lines in errors.groupby("number", sort=False):
        panel = panels[tables.NAMES[number]]
        drawn = np.concatenate([line.get_xdata() for line in panel.lines])
        for line in lines.itertuples():
            assert all(np.isclose(drawn, x).any() for x in (line.mean, line.low, line.high))
