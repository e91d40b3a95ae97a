"""Roads on the tables' own contrasts, and on a small map."""

from functools import cache, partial

import pytest

from p2s.report.results import results
from p2s.report.tables.differences import roads
from p2s.study.experiments import Contrast
from p2s.study.project import Project
from p2s.study.study import Study
from tests.support import ROOT

STUDY = Study.load(Project.at(ROOT), "gated")
known = cache(partial(results, STUDY))


def step(name, than, row, **more):
    return Contrast(name=name, row=row, than=than, **more)


STEPS = [
    step("one", "a", "b"),
    step("two", "b", "c"),
    step("all", "a", "c"),
    step("three", "c", "d"),
    step("recall", "d", "e", metric="proposal_AR"),
    step("back", "c", "a"),
]


@pytest.mark.parametrize(
    ("start", "end", "names"),
    [
        ("a", "c", ["one", "two"]),
        ("a", "d", ["one", "two", "three"]),
        ("a", "b", []),
        ("d", "a", []),
        ("a", "e", []),
    ],
)
def test_the_longest_road_of_several_steps_is_taken(start, end, names):
    assert [one.name for one in roads.longest(STEPS, start, end)] == names


@pytest.mark.parametrize(
    ("experiment", "contrast", "steps"),
    [
        ("factors", "CenterNet2: all steps", 6),
        ("factors", "CenterNet2: all steps on equal levels", 5),
        ("table1", "CascadeRCNN-CenterNet: over CascadeRCNN-RPN", 6),
        ("table1", "FasterRCNN-CenterNet: over FasterRCNN-RPN", 6),
        ("table1", "FasterRCNN-GFL: over FasterRCNN-RPN", 0),
        ("table4", "(8) P3-P7 + 256p. + 4 l. + loss + prob: all steps", 4),
        ("table5", "CascadeRCNN-CenterNet w. prob.: product", 0),
        ("table5", "CascadeRCNN-CenterNet w. prob.: over RPN's gain", 0),
    ],
)
def test_rows_of_tables_stand_on_the_road_of_factors(experiment, contrast, steps):
    of, factors = known(experiment), known("factors")
    [one] = [one for one in of.contrasts if f"{one.row}: {one.name}" == contrast]
    found = roads.road(of.main, one, [of, factors])
    assert (len(found.steps) if found else 0) == steps
    if found:
        ends = found.of_variant.runs[0].spec.test.score_threshold, of.runs[0].spec.test
        assert ends[0] == ends[1].score_threshold
