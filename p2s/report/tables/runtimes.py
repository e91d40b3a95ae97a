"""Where the paper prints runtimes and AP of detectors that have other names there."""

import numpy as np

from p2s.study.experiments import PaperRow
from p2s.study.published import columns, published

REFERENCE = "CenterNet2"
BOTH = ["Tfirst", "Ttot"]
SHORT = {"CascadeRCNN-RPN (P3-P7)": "CascadeRCNN"}  # in Tables 6 to 8
OF_CLASSES = {365: 8, 1203: 7}  # tables by the number of classes of their data
TIMELESS = (  # Table 2 has FCOS-RT with another trunk and input, Table 3 no runtimes
    *("FCOS-RT", "CenterNet2-X101-DCN", "CenterNet*-X101-DCN", "CascadeRCNN-X101-DCN"),
    "CenterNet2-R2-101-DCN-BiFPN",
)
CELLS = {  # of Tfirst and Ttot; other detectors are in Table 1 under their own names
    "FasterRCNN-RPN": [(1, "FasterRCNN-RPN (original)", column) for column in BOTH],
    "CascadeRCNN-RPN": [(1, "CascadeRCNN-RPN (original)", column) for column in BOTH],
    "FasterRCNN-RPN (P3-P7)": [(4, "(2) P3-P7", column) for column in BOTH],
    "CascadeRCNN-RPN (P3-P7)": [None, (6, "1000", "CascadeRCNN Runtime")],
    "GA RPN": [None, (11, "GA RPN", "Runtime")],
    "Cascade RPN": [None, (11, "Cascade RPN", "Runtime")],
    "FCOS-RT-DLA-BiFPN-P3": [None, (2, "FCOS-RT (DLA-BiFPN-P3)", "Runtime")],
    "CenterNet2-DLA-BiFPN-P3": [None, (2, "CenterNet2 (DLA-BiFPN-P3, 48)", "Runtime")],
    "CenterNet2-DLA-BiFPN-P5": [None, (2, "CenterNet2 (DLA-BiFPN-P5, 288)", "Runtime")],
    "CenterNet-DLA": [None, (2, "CenterNet (DLA)", "Runtime")],
    **dict.fromkeys(TIMELESS, [None, None]),
    REFERENCE: [(1, "CascadeRCNN-CenterNet", column) for column in BOTH],
}


def first_and_total(detector: str) -> np.ndarray:
    """Tfirst and Ttot of a named detector in milliseconds, (2,); NaN where the paper has none."""
    return np.array([_value(cell) for cell in _cells(detector)])


def average_precision(detector: str) -> float:
    """AP of a named detector on COCO val in percent; NaN where the paper has none."""
    *_, cell = _cells(detector)
    if cell is None:
        return np.nan
    table, row, column = cell
    return _value((table, row, column.removesuffix("Runtime").removesuffix("Ttot") + "mAP"))


def total(detector: str, count: int, what: str) -> float:
    """Milliseconds with so many "classes" or "proposals"; NaN where the paper has none."""
    name = SHORT.get(detector, detector)
    if what == "proposals":
        return _value((6, f"{count}", f"{name} Runtime"))
    if count == 80:
        return first_and_total(detector)[1]
    return _value((OF_CLASSES.get(count), name, "Runtime"))


def of_row(place: PaperRow | None) -> tuple[float, float]:
    """Tfirst and Ttot of a row of an experiment in milliseconds; NaN where the paper has none."""
    if place is None:
        return np.nan, np.nan
    both = "Tfirst", place.columns["AP"].removesuffix("mAP") + "Runtime"
    if "Ttot" in columns(place.table):
        both = "Tfirst", "Ttot"
    return tuple(_value((place.table, place.row, column)) for column in both)


def _cells(detector):
    return CELLS.get(detector) or [(1, detector, column) for column in BOTH]


def _value(cell):
    try:
        return float(published(*cell)) if cell else np.nan
    except ValueError:  # the paper has no such table, row or column
        return np.nan
