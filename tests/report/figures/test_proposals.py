import re

import numpy as np
import pytest

from p2s.report.figures import proposals as figures
from p2s.study.study import Study


def titles(figure):
    return [panel.get_title() for panel in figure.axes]


@pytest.fixture(scope="module")
def pair(project):
    return figures.first_proposals(Study.load(project, "desk"))


def test_figure_3_shows_both_first_stages_on_the_same_scenes(pair):
    assert [one.detector for one in pair] == ["CascadeRCNN-RPN (P3-P7)", "CascadeRCNN-CenterNet"]
    assert len({one.seed for one in pair}) == 1
    shown = [[scene["image_id"] for scene in one.scenes] for one in pair]
    assert shown[0] == shown[1]


def test_figure_3_counts_what_it_draws_and_a_loop_counts_the_same(pair):
    figure = figures.proposals(pair)
    panels = iter(np.reshape(figure.axes, (4, 4)).T.ravel())
    for root in (False, True):
        for record in pair:
            for scene in record.scenes:
                panel, count = next(panels), 0
                for row in scene["proposals"]:
                    count += (np.sqrt(row[4]) if root else row[4]) > 0.3
                assert len(panel.patches) == count
                assert int(re.search(r"(\d+) proposals$", panel.get_title())[1]) == count
    assert figure.axes[2].get_title().startswith("CascadeRCNN-RPN (P3-P7)\n√P(O) > 0.3\n")


@pytest.mark.parametrize("limit, said", [(2, "all 2"), (3, "at least 2")])
def test_figure_3_says_whether_a_record_may_have_left_out_some(pair, limit, said):
    spec = pair[0].spec | {"test": pair[0].spec["test"] | {"proposals": limit}}
    scene = {"image_id": 0, "proposals": [[0, 0, 9, 9, 0.9], [5, 5, 9, 9, 0.8]], "detections": []}
    record = pair[0].model_copy(update={"spec": spec, "scenes": [scene]})
    assert titles(figures.proposals([record]))[0].endswith(f"\n{said} proposals")


def test_figure_3_of_no_proposals_is_empty_panels(pair):
    empty = [{**scene, "proposals": []} for scene in pair[0].scenes]
    figure = figures.proposals([pair[0].model_copy(update={"scenes": empty})])
    assert not any(panel.patches for panel in figure.axes)
    assert all(each.endswith("0 proposals") for each in titles(figure))
    none = figures.proposals([pair[0].model_copy(update={"scenes": []})])
    assert none.content().startswith(b"\x89PNG") and figures.proposals([]).content()
