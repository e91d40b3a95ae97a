"""Fields: a box that passes the check is one that reading keeps."""

from collections import defaultdict

import pytest

from p2s.data.checks.fields import annotations, box_problem
from p2s.data.coco import of_tables

SIZE = 96, 64


def tables(box):
    """COCO's tables with one box."""
    row = {"id": 1, "image_id": 1, "category_id": 1, "bbox": box}
    return {
        "images": [{"id": 1, "file_name": "1.png", "width": SIZE[0], "height": SIZE[1]}],
        "annotations": [row],
        "categories": [{"id": 1, "name": "cat"}],
    }


def kinds(box):
    """What is told of a box in a file, by kind."""
    problems = defaultdict(list)
    annotations(tables(box)["annotations"], {1: SIZE}, {1}, problems)
    return {kind: lines for kind, lines in problems.items() if lines}


UNSEEN = [[96, 9, 1, 5], [-1, 9, 1, 5], [9, 64, 5, 1], [9, -1, 5, 1], [9, 9, 1e-7, 5],
          [9, 9, 5, 1e-7], [96 - 1e-7, 9, 1, 5]]  # fmt: skip
SEEN = [[95, 9, 2, 5], [-1, 9, 2, 5], [9, 63.99, 5, 1], [9, -1, 5, 1.01], [9, 9, 1e-3, 5],
        [95.9, 9, 0.01, 5], [-1, -1, 98, 66]]  # fmt: skip


@pytest.mark.parametrize("box", UNSEEN + SEEN, ids=str)
def test_a_box_is_told_where_reading_would_drop_it_and_nowhere_else(box):
    kept = len(of_tables(tables(box), "", "").boxes(0)[0])
    assert kept == (box_problem(box, SIZE) is None) == (not kinds(box)) == (box in SEEN)


def test_what_is_not_to_be_seen_is_told_with_the_size():
    [line] = kinds([96, 9, 1, 5])["flat"]
    assert line == (
        "annotation 1: bbox: [96, 9, 1, 5]: nothing to see of it within 96 x 64 "
        "(valid: pixels within)"
    )
