"""The published numbers: complete, strict, and consistent as far as the paper itself is."""

import pytest

from p2s.study.published import PAPER, published, read_tables

# Rows and columns of numbers, counted by hand in the paper.
SHAPES = {
    1: (14, 3),
    2: (8, 3),
    3: (28, 6),
    4: (8, 3),
    5: (4, 1),
    6: (5, 6),
    7: (5, 5),
    8: (4, 4),
    9: (8, 4),
    10: (6, 1),
    11: (3, 2),
}
SPOTS = [
    (1, "RetinaNet", "Tfirst", 82),
    (2, "YOLOV4 (CSPDarknet-53)", "mAP", 43.5),
    (3, "CenterNet2 (Res2Net-101-DCN-BiFPN)", "AP", 56.4),
    (3, "EfficientDet-D7x (EfficientNet-D7x-BiFPN)", "APL", None),
    (4, "(5) P3-P7 + 4 l.", "Ttot", 70),
    (5, "CascadeRCNN-CenterNet w. prob.", "mAP", 42.9),
    (6, "128", "CenterNet2 AR", 63.5),
    (7, "CascadeRCNN", "Runtime", 100),
    (8, "CenterNet*", "mAP75", 20.1),
    (9, "CascadeRCNN, EQL", "APboxr", 15.5),
    (10, "+ test size 1560×1560", "mAP", 56.1),
    (11, "Cascade RPN", "Runtime", 97),
]
# The same measurement printed in two tables.
SAME = [
    ((5, "CascadeRCNN-CenterNet w. prob.", "mAP"), (1, "CascadeRCNN-CenterNet", "mAP")),
    ((5, "CascadeRCNN-RPN (P3-P7)", "mAP"), (6, "1000", "CascadeRCNN mAP")),
    ((6, "256", "CenterNet2 mAP"), (1, "CascadeRCNN-CenterNet", "mAP")),
    ((6, "256", "CenterNet2 Runtime"), (1, "CascadeRCNN-CenterNet", "Ttot")),
    ((9, "CenterNet2, FedLoss", "APbox"), (7, "CenterNet2 w. FedLoss", "mAP")),
    ((9, "CenterNet2, FedLoss", "APboxr"), (7, "CenterNet2 w. FedLoss", "mAPr")),
    ((9, "CascadeRCNN, Softmax-CE", "APbox"), (7, "CascadeRCNN", "mAP")),
    ((9, "CascadeRCNN, Softmax-CE", "APboxf"), (7, "CascadeRCNN", "mAPf")),
    *[
        ((4, row, column), (1, name, column))
        for row, name in [
            ("(1) P2-P6, 1000 proposals", "FasterRCNN-RPN (original)"),
            ("(8) P3-P7 + 256p. + 4 l. + loss + prob", "FasterRCNN-RetinaNet"),
        ]
        for column in ("mAP", "Tfirst", "Ttot")
    ],
]
SMALL = """
- table: 1
  title: a
  columns: {mAP: "%"}
  rows:
    one: [1.5]
"""


def cells(path=PAPER):
    return [cell for table in read_tables(path) for cell in table.cells()]


def write(folder, text):
    path = folder / "paper.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_table_is_complete():
    tables = {table.table: table for table in read_tables()}
    assert {n: (len(t.rows), len(t.columns)) for n, t in tables.items()} == SHAPES
    assert len(cells()) == 377 and sum(cell.value is None for cell in cells()) == 3


@pytest.mark.parametrize(("table", "row", "column", "value"), SPOTS)
def test_printed_values_are_found(table, row, column, value):
    assert published(table, row, column) == value


@pytest.mark.parametrize(("here", "there"), SAME)
def test_a_measurement_printed_twice_is_equal(here, there):
    assert published(*here) == published(*there)


@pytest.mark.parametrize(
    ("table", "better", "worse", "column", "gain"),
    [
        (2, "CenterNet2 (DLA-BiFPN-P3, 48)", "FCOS-RT (DLA-BiFPN-P3)", "mAP", 1.6),
        (3, "CenterNet2 (ResNeXt-101-DCN)", "CascadeRCNN (ResNeXt-101-DCN)", "AP", 1.4),
        (6, "1000", "128", "CascadeRCNN mAP", 1.3),
        (6, "1000", "128", "CenterNet2 mAP", 0.3),
        (7, "CenterNet2", "CascadeRCNN", "mAP", 2.7),
    ],
)
def test_gains_are_those_of_the_text(table, better, worse, column, gain):
    difference = published(table, better, column) - published(table, worse, column)
    assert difference == pytest.approx(gain)


def test_values_keep_the_order_of_their_kind():
    rows = {t.table: t for t in read_tables()}[3].rows.values()
    assert all(ap < ap75 < ap50 for ap, ap50, ap75, *_ in rows)
    assert all(s < m < l for *_, s, m, l in rows if s is not None)  # noqa: E741
    for cells in {t.table: t for t in read_tables()}[1].rows.values():
        assert 0 < cells[1] <= cells[2]


def test_units_bound_the_values():
    for cell in cells():
        assert cell.unit in {"%", "ms", "epochs"}
        assert cell.value is None or 0 < cell.value < (100 if cell.unit == "%" else 501)


def test_only_table_9_has_deviations():
    deviating = [cell for cell in cells() if cell.deviation is not None]
    assert {cell.table for cell in deviating} == {9} and len(deviating) == 32
    assert max(deviating, key=lambda cell: cell.deviation).row == "CascadeRCNN, EQL"


def test_notes_reach_their_rows():
    notes = {(cell.table, cell.row): cell.note for cell in cells()}
    assert "own publication" in notes[2, "EfficientDet (EfficientNet-B2)"]
    assert "retrained" in notes[3, "CenterNet* (ResNeXt-101-DCN)"]
    assert "original publications" in notes[3, "GFL (ResNeXt-101-DCN)"]
    assert "up to 3" in notes[1, "GFL"] and notes[9, "CenterNet2, Softmax-CE"] is None


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ((12, "GFL", "mAP"), "table 12 unknown; valid: 1, 2"),
        ((1, "GLF", "mAP"), "table 1: row 'GLF' unknown; valid: FasterRCNN-RPN (original), "),
        ((1, "GFL", "AP"), "table 1: column 'AP' unknown; valid: mAP, Tfirst, Ttot"),
    ],
)
def test_an_unknown_cell_lists_the_valid_ones(key, message):
    with pytest.raises(ValueError) as error:
        published(*key)
    assert message in str(error.value) and str(PAPER) in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("columns", "colums", "unknown colums; valid: columns, note, notes, rows, table, title"),
        ("  title: a\n", "", "0.title: Field required"),
        ("[1.5]", "[1.5, 2]", "row 'one' has 2 values for 1 columns"),
        ("[1.5]", '["46ms"]', "0.rows.one.0"),
        ("[1.5]", "[true]", "0.rows.one.0"),
        ("[1.5]", "[.nan]", "0.rows.one.0"),
        ("[1.5]", "[1.5]\n  notes: {two: b}", "notes on unknown rows ['two']; valid: one"),
    ],
)
def test_a_slip_in_the_file_is_named_with_the_file(tmp_path, old, new, message):
    path = write(tmp_path, SMALL.replace(old, new))
    with pytest.raises(ValueError) as error:
        read_tables(path)
    assert str(error.value).startswith(f"{path}: line ") and message in str(error.value)


def test_a_table_may_not_stand_twice(tmp_path):
    with pytest.raises(ValueError, match="a table stands twice"):
        read_tables(write(tmp_path, SMALL * 2))


def test_a_small_file_is_read_in_order(tmp_path):
    found = cells(write(tmp_path, SMALL + "    two: [[2, .5]]\n"))
    assert [(c.row, c.value, c.unit, c.deviation) for c in found] == [
        ("one", 1.5, "%", None),
        ("two", 2.0, "%", 0.5),
    ]
