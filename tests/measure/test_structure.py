import re

import pytest
from matplotlib.patches import Rectangle

from p2s.bench.infer import operations
from p2s.measure import structure
from p2s.report.figures import framework as figures
from p2s.report.figures import structures
from p2s.report.style import COLOURS
from p2s.spec import NAMED, Spec

SMALL = {"num_classes": 5, "backbone": {"depth": 18, "width": 16, "fpn_channels": 32}}
SIZE = (64, 96)  # whose maps have 8 x 12, 4 x 6, 2 x 3, 1 x 2 and 1 x 1 cells
CELLS = 96 + 24 + 6 + 2 + 1


def small(name, **changes):
    spec = Spec.named(name).changed(SMALL).changed(changes)
    return structure.of_spec(name, spec, SIZE), spec


def conv(channels, outputs):
    return CELLS * 9 * channels * outputs  # multiply-adds of a 3x3 convolution of all maps


@pytest.fixture(scope="module")
def full():
    return [structure.measure(name) for name in figures.STRUCTURES]


@pytest.mark.parametrize("name", ["CenterNet*", "RetinaNet", "GFL", "ATSS", "FCOS-RT"])
def test_a_one_stage_detector_has_the_operations_of_a_real_pass(name):
    found, spec = small(name)
    assert 2 * sum(found.parts.values()) == operations(spec, SIZE)
    assert (found.heads, found.proposals, found.scores) == ((), 0, 5)
    assert found.anchors == (9 if name == "RetinaNet" else 1) and found.cells == CELLS


def test_separate_towers_are_four_convolutions_each_and_their_outputs():
    towers = small("CenterNet*")[0].towers
    expected = [(4, 32, 4 * conv(32, 32) + conv(32, outputs)) for outputs in (5, 4)]
    assert [(one.layers, one.channels, one.multiply_adds) for one in towers] == expected


def test_a_class_agnostic_first_stage_shares_its_tower_and_has_one_score():
    found, _ = small("CenterNet2")
    [tower] = found.towers
    assert tower.multiply_adds == 4 * conv(32, 32) + conv(32, 1 + 4) and tower.layers == 4
    assert (found.scores, found.anchors, found.proposals, found.fusion) == (1, 1, 256, "product")


def test_an_rpn_has_one_layer_and_three_anchors_a_cell():
    found, _ = small("CascadeRCNN-RPN (P3-P7)")
    [tower] = found.towers
    assert tower.multiply_adds == conv(32, 32) + CELLS * 32 * 3 * (1 + 4) and tower.layers == 1
    assert (found.scores, found.anchors, found.proposals, found.fusion) == (1, 3, 1000, "class")


@pytest.mark.parametrize("name, count", [("FasterRCNN-CenterNet", 1), ("CenterNet2", 3)])
def test_every_stage_of_the_second_stage_works_on_every_region(name, count):
    heads = small(name, second_stage={"channels": 64}, test={"proposals": 7})[0].heads
    each = 7 * (49 * 32 * 64 + 64 * 64 + 64 * (5 + 1 + 4))
    assert [(one.layers, one.channels, one.multiply_adds) for one in heads] == [
        (2, 64, each)
    ] * count


def test_a_first_stage_in_steps_is_refused_by_name():
    with pytest.raises(ValueError, match="GA RPN: its first stage"):
        structure.measure("GA RPN")
    assert set(structure.IN_STEPS) < {one.get("first") for one in NAMED.values()}


def test_figure_2_says_what_was_measured(full):
    figure = structures.structures(full, structure.SIZE)
    words = [text.get_text() for text in figure.axes[0].texts]
    for one in full:
        assert f"in all {1e-9 * sum(one.parts.values()):.1f} G multiply-adds" in words
    assert "P(C) of 80 classes and a box" in words and "K = 1000 regions" in words
    assert "K′ = 256 regions" in words and words.count("P(O)") == 1  # around the second stage
    assert [re.sub(r"^.*: ", "", each) for each in words if each.startswith("score of")] == [
        *("P(C)", "P(C|O)", "P(C|O) P(O)")
    ]


def test_blocks_are_as_wide_as_their_multiply_adds(full):
    shapes = structures.structures(full, structure.SIZE).axes[0].patches
    blocks = [
        one for one in shapes if isinstance(one, Rectangle) and one.get_height() == structures.BLOCK
    ]
    counts = [each for one in full for row in structures.rows(one) for each in row]
    widths = [one.get_width() for one in blocks]
    assert widths == pytest.approx([count * widths[0] / counts[0] for count in counts])


def test_there_is_a_map_for_each_score(full):
    shapes = structures.structures(full[:1], structure.SIZE).axes[0].patches
    maps = [
        one
        for one in shapes
        if isinstance(one, Rectangle) and one.get_height() == structures.MAP[1]
    ]
    assert len(maps) == full[0].scores == 80


def test_figure_2_has_the_same_bytes_whenever_it_is_drawn(full):
    first, second = (structures.structures(full, structure.SIZE).content() for _ in range(2))
    assert first == second and COLOURS[0].encode() in first
    assert structures.structures([], structure.SIZE).content().startswith(b"<?xml")
