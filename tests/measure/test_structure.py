import pytest

from p2s.bench.inference import operations
from p2s.measure.structure import IN_STEPS, cost, structure_numbers
from p2s.spec import NAMED, Spec
from p2s.study import structures
from p2s.study.project import Project
from p2s.study.structures import Structure
from tests.support import ROOT

SMALL = {"num_classes": 5, "backbone": {"depth": 18, "width": 16, "fpn_channels": 32}}
SIZE = (64, 96)  # whose maps have 8 x 12, 4 x 6, 2 x 3, 1 x 2 and 1 x 1 cells
CELLS = 96 + 24 + 6 + 2 + 1


def small(name, **changes):
    spec = Spec.named(name).changed(SMALL).changed(changes)
    return Structure(detector=name, **structure_numbers(spec, SIZE)), spec


def conv(channels, outputs):
    return CELLS * 9 * channels * outputs  # multiply-adds of a 3x3 convolution of all maps


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
    with pytest.raises(ValueError, match="first ga_rpn: its first stage"):
        small("GA RPN")
    assert set(IN_STEPS) < {one.get("first") for one in NAMED.values()}


@pytest.mark.parametrize("at", range(len(structures.DETECTORS)))
def test_the_committed_record_is_what_the_built_models_have(at):
    record = structures.recorded(Project(ROOT, ROOT / ".p2s"))
    kept = record.structures[at]
    assert record.size == structures.SIZE and kept.detector == structures.DETECTORS[at]
    measured = structure_numbers(Spec.named(kept.detector), record.size)
    assert Structure(detector=kept.detector, **measured) == kept


@pytest.mark.parametrize("name", NAMED)
def test_the_cost_of_a_detector_is_that_of_a_real_pass(name):
    spec = Spec.named(name).changed(SMALL).changed({"test": {"proposals": 2}})
    operations_of_a_pass = operations(spec, SIZE)  # whose proposals are 2, as told
    assert cost(spec, SIZE).operations == pytest.approx(operations_of_a_pass, rel=1e-3)
