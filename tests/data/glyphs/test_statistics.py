import numpy as np
import pytest

from p2s.data.glyphs import ink, layout, statistics


def random_boxes(rng, count, side):
    corners = rng.integers(0, side, (count, 2, 2))
    return np.hstack([corners.min(1), corners.max(1) + 1])


def test_covered_share_equals_painting_the_pixels():
    rng = np.random.default_rng(0)
    for count in (0, 1, 3, 12):
        boxes, painted = random_boxes(rng, count, 30), np.zeros((31, 31), bool)
        for x1, y1, x2, y2 in boxes:
            painted[y1:y2, x1:x2] = True
        assert statistics.covered(boxes, (31, 31)) == pytest.approx(painted.mean())


def test_covered_share_is_cut_to_the_image():
    assert statistics.covered([[-5, -5, 100, 100]], (10, 20)) == 1


def test_numpy_iou_equals_counting_pixels():
    rng = np.random.default_rng(1)
    boxes = random_boxes(rng, 8, 20)
    masks = np.zeros((8, 21, 21), bool)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes, strict=True):
        mask[y1:y2, x1:x2] = True
    both = (masks[:, None] & masks).sum((2, 3))
    either = (masks[:, None] | masks).sum((2, 3))
    assert np.allclose(statistics.numpy_iou(boxes, boxes), both / either)


def test_statistics_of_a_scene_by_hand():
    boxes = [[[0, 0, 16, 16], [0, 0, 16, 8], [40, 40, 80, 80]], [[0, 0, 160, 160]], []]
    found = statistics.statistics(boxes, [(160, 160)] * 3, proposals=64)
    assert found["objects_per_image"] == pytest.approx(4 / 3)
    assert found["covered_share"] == pytest.approx((1 + (256 + 1600) / 160**2) / 3)
    assert found["size_median_cells"] == pytest.approx((2 + 5) / 2)
    assert found["under_3_cells_share"] == 0.5 and found["overlapping_share"] == 0.5
    assert (found["small_share"], found["medium_share"], found["large_share"]) == (0.5, 0.25, 0.25)
    assert found["single_object_share"] == pytest.approx(1 / 3)
    assert found["cells_per_image"] == 400 and found["proposals_per_object"] == 48


def test_sizes_in_cells_follow_the_input_but_cocos_bounds_do_not():
    boxes, sizes = [[[0, 0, 40, 40]]], [(400, 800)]
    stored = statistics.statistics(boxes, sizes)
    doubled = statistics.statistics(boxes, sizes, short_edge=800)
    assert doubled["size_median_cells"] == 2 * stored["size_median_cells"]
    assert doubled["medium_share"] == stored["medium_share"] == 1


def test_no_boxes_at_all_is_an_error():
    with pytest.raises(ValueError, match="no boxes"):
        statistics.statistics([[], []], [(9, 9)] * 2)


KEPT = {"covered_share": 0.05, "under_3_cells_share": 0.03, "overlapping_share": 0.06}


def test_glyph_scenes_keep_cocos_coverage_small_objects_and_overlap():
    boxes = []
    for index in range(300):
        _, found = layout.arrange(np.random.default_rng([0, index]), ink.Ground(160, 128), 10)
        boxes.append(np.array([one["bbox"] for one in found]))
        boxes[-1][:, 2:] += boxes[-1][:, :2]
    here = statistics.statistics(boxes, [(160, 160)] * len(boxes))
    for quantity, tolerance in KEPT.items():
        assert here[quantity] == pytest.approx(statistics.COCO[quantity][0], abs=tolerance), (
            quantity
        )
    assert 4.5 < here["size_median_cells"] < 6 and 6.4 < here["objects_per_image"] < 7.6


def test_every_quantity_stands_beside_cocos_number_with_its_source_and_every_bias_is_told():
    here = statistics.statistics([[[0, 0, 40, 40]]], [(160, 160)])
    rows = {row["quantity"]: row for row in statistics.beside_coco(here)}
    numbers = [row for row in rows.values() if row["here"] is not None]
    assert {row["quantity"] for row in numbers} == set(here)
    assert all(row["source"] for row in numbers)
    for quantity in rows.keys() - set(here):
        assert rows[quantity]["coco"] is None and rows[quantity]["bias"]
