"""Where the paper prints the runtimes of detectors that have other names there."""

import numpy as np

from p2s.study import published
from p2s.study.experiments import PaperRow

REFERENCE = "CenterNet2"
CASCADE = "CascadeRCNN-RPN (P3-P7)"  # CascadeRCNN in Tables 6 to 9
SAME = "CascadeRCNN-CenterNet"  # CenterNet2 in Table 1
BOTH = ["Tfirst", "Ttot"]
CELLS = {  # of Tfirst and Ttot; other detectors are in Table 1 under their own names
    "FasterRCNN-RPN": [(1, "FasterRCNN-RPN (original)", column) for column in BOTH],
    "CascadeRCNN-RPN": [(1, "CascadeRCNN-RPN (original)", column) for column in BOTH],
    "FasterRCNN-RPN (P3-P7)": [(4, "(2) P3-P7", column) for column in BOTH],
    "CascadeRCNN-RPN (P3-P7)": [None, (6, "1000", "CascadeRCNN Runtime")],
    "GA RPN": [None, (11, "GA RPN", "Runtime")],
    "Cascade RPN": [None, (11, "Cascade RPN", "Runtime")],
    "FCOS-RT": [None, None],  # Table 2 has it with another trunk and input
    REFERENCE: [(1, SAME, column) for column in BOTH],
}
TOTALS = {  # of the runtime by detector, number and what it is the number of
    (REFERENCE, 80, "classes"): (1, SAME, "Ttot"),
    (CASCADE, 80, "classes"): (6, "1000", "CascadeRCNN Runtime"),
    **{(name, 80, "classes"): (1, name, "Ttot") for name in ("CenterNet*", "GFL")},
    **{
        (name, classes, "classes"): (table, "CascadeRCNN" if name == CASCADE else name, "Runtime")
        for name in (REFERENCE, CASCADE, "CenterNet*", "GFL")
        for classes, table in ((365, 8), (1203, 7))
    },
    **{
        (name, count, "proposals"): (6, f"{count}", f"{printed} Runtime")
        for name, printed in [(REFERENCE, REFERENCE), (CASCADE, "CascadeRCNN")]
        for count in (64, 128, 256, 512, 1000)
    },
}


def first_and_total(detector: str) -> np.ndarray:
    """Tfirst and Ttot of a named detector in milliseconds, (2,); NaN where the paper has none."""
    cells = CELLS.get(detector) or [(1, detector, column) for column in BOTH]
    return np.array([_value(cell) for cell in cells])


def total(detector: str, count: int, what: str) -> float:
    """Milliseconds with so many "classes" or "proposals"; NaN where the paper has none."""
    return _value(TOTALS.get((detector, count, what)))


def of_row(place: PaperRow | None) -> tuple[float, float]:
    """Tfirst and Ttot of an experiments.PaperRow or None in milliseconds; NaN where missing."""
    if place is None:
        return np.nan, np.nan
    columns = published.columns(place.table)
    runtime = place.columns["AP"].removesuffix("mAP") + "Runtime"
    whole = "Ttot" if "Ttot" in columns else runtime
    both = [name if name in columns else None for name in ("Tfirst", whole)]
    return tuple(_value(name and (place.table, place.row, name)) for name in both)


def _value(cell):
    return float(published.published(*cell)) if cell else np.nan
