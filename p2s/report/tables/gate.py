"""The gate: whether the scale model's precursors can speak to the paper, point by point.

Each point has a range that was fixed before; a table tells what was measured and whether it is in.
"""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd

from p2s.report.intervals import DASH, Estimate, estimate, number
from p2s.report.results import Results
from p2s.report.tables.ablation import difference
from p2s.report.tables.estimates import cells

REFERENCE = "FasterRCNN-RPN"
ONE_STAGE = ("RetinaNet", "GFL", "ATSS", "CenterNet*")
LONGER, TRAINED = "twice as long", "as trained"
BINS = 7  # a side of a pooled region; Sec. 5
PAPER_PROPOSALS = 256 / 7  # an object: 256 proposals (Sec. 5) for COCO's 7 objects
COCO_ERRORS = {"Cls": 3.3, "Loc": 6.3, "Both": 1.2, "Dupe": 0.2, "Bkg": 4.0, "Miss": 8.0}
EXAMPLE = "boxes of Mask R-CNN on COCO, AP50 61.8: the published example of TIDE's authors"
USED = 0.01  # of the objects: a level that has fewer is not used
LEAST = "objects on the level with fewest"
ACROSS = "across pyramids"  # contrasts of rows whose levels differ, on which an idle level bears
COLUMNS = ("point", "what", "wanted", *Estimate._fields, "met")


class Wanted(NamedTuple):
    """A range of a mean, its ends included."""

    low: float
    high: float

    def __str__(self):
        if self.low == -math.inf:
            return f"below {self.high:g}"
        if self.high == math.inf:
            return f"{self.low:g} or more"
        return f"{number(self.low, digits=2)} to {number(self.high, digits=2)}"

    def holds(self, value: float) -> bool:
        """Whether a value is in it."""
        return self.low <= value <= self.high


def points(results: Results) -> pd.DataFrame:
    """Every point of the gate, a line each: COLUMNS; met is None where no record is."""
    parts = (_learnt, _standing, _geometry, _errors)
    return _frame([line for part in parts for line in part(results)])


def _frame(lines):
    frame = pd.DataFrame(
        [(*line[:2], str(line[2]), *line[3], _met(*line[2:])) for line in lines],
        columns=list(COLUMNS),
    )
    return frame.astype({"met": object})


def of_photographs(trained: Results, longer: Results) -> pd.DataFrame:
    """The points that photographs have too: *learnt*, of `longer` trainings, and *standing*."""
    return _frame([*_learnt(longer), *_standing(trained)])


def missed(frame: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    """What of the points is missed, by the row it is about; "" is about all, ACROSS about some.

    A level without objects has background alone, in all rows that have it.
    Without records of the gate nothing rests on anything: that is missed for all.
    """
    if frame["met"].isna().any():
        return {"": ("the gate has not been asked",)}
    told: dict[str, tuple[str, ...]] = {}
    for line in frame[~frame["met"].astype(bool)].itertuples():
        row = _about(line.point, line.what)
        told[row] = (*told.get(row, ()), f"{line.point}, {line.what}: {number(line.mean)}")
    return told


def _about(point, what):
    if what == LEAST:
        return ACROSS
    return "" if point in ("geometry", "errors") else what.split(": ")[0].split(" over ")[0]


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """The points for people: mean ± half the interval (seeds), and whether each is met."""
    said = {True: "met", False: "**missed**", None: DASH}
    shown = frame[["point", "what", "wanted"]].assign(here=cells(frame))
    return shown.assign(met=[said[value] for value in frame["met"]]).set_index("point")


def errors(results: Results) -> pd.DataFrame:
    """What each of TIDE's errors costs each row in AP50, mean ± interval, beside COCO's example."""
    kinds = {kind: results.only(TRAINED).of(f"TIDE_{kind}") for kind in COCO_ERRORS}
    costs = {
        kind: lines.groupby("row", sort=False)["value"].apply(lambda v: estimate(v).text())
        for kind, lines in kinds.items()
    }
    grid = pd.DataFrame(costs)
    grid.loc["COCO"] = [number(value) for value in COCO_ERRORS.values()]
    return grid.rename_axis(index=None)


def _met(wanted, measured):
    return wanted.holds(measured.mean) if measured.seeds else None


def _ap(results, row):
    lines = results.of("AP")
    return lines[lines["row"] == row].set_index("seed")


def _learnt(results):
    """How much AP each row gains by twice the iterations."""
    for row in results.rows:
        gain = difference(*(_ap(results.only(length), row) for length in (LONGER, TRAINED)))
        yield "learnt", f"{row}: twice as long", Wanted(-math.inf, 2), estimate(gain["value"])


def _standing(results):
    """How the rows that are there stand to each other, in the first variant."""
    here = {*results.frame["row"]}
    pairs = [(row, REFERENCE, Wanted(-4, 4)) for row in ONE_STAGE if row in here]
    if "CascadeRCNN-RPN" in here:
        pairs.append(("CascadeRCNN-RPN", REFERENCE, Wanted(2, 6)))
        pairs.append(("CascadeRCNN-RPN (P3-P7)", "CascadeRCNN-RPN", Wanted(-2, 2)))
    else:
        pairs.append(("CascadeRCNN-RPN (P3-P7)", REFERENCE, Wanted(2, 6)))
    for row, than, wanted in pairs:
        gain = difference(*(_ap(results.main, name) for name in (row, than)))
        yield "standing", f"{row} over {than}", wanted, estimate(gain["value"])


def _geometry(results):
    """How objects lie on the levels P3-P7 of a first stage that infers P(O)."""
    found = [
        numbers
        for run, numbers in results.only(TRAINED).findings("geometry")
        if run.row == ONE_STAGE[-1] and numbers
    ]
    quantities = {
        "objects above the finest level's range": (Wanted(1 / 3, 1), lambda n: n["above"]),
        LEAST: (Wanted(USED, 1), lambda n: min(n["levels"])),
        f"median object in cells, for {BINS} bins": (
            Wanted(BINS, math.inf),
            lambda n: n["cells"][1],
        ),
        "proposals an object": (
            Wanted(PAPER_PROPOSALS / 2, PAPER_PROPOSALS * 2),
            lambda n: n["proposals_an_object"],
        ),
    }
    for what, (wanted, value) in quantities.items():
        yield "geometry", what, wanted, estimate([value(numbers) for numbers in found])


def _errors(results):
    """AP of the reference once it has learnt, and what background costs it."""
    lines = results.only(TRAINED)
    for metric, what, wanted in (
        ("AP", "AP", Wanted(35, 50)),
        ("TIDE_Bkg", "background's cost in AP50", Wanted(2, math.inf)),
    ):
        values = lines.of(metric)
        values = values[values["row"] == REFERENCE]["value"]
        yield "errors", f"{REFERENCE}: {what}", wanted, estimate(np.asarray(values))
