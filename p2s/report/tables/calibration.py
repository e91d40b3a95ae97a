"""Calibration in tables: pure functions of records whose findings hold `calibration.measure`."""

import numpy as np
import pandas as pd

from p2s.report.intervals import DASH, Estimate, estimate, number, verdict
from p2s.report.tables import ablation as tables

PROBABILITIES = {  # as in `calibration`: in words
    "p_object": "P(O)",
    "p_object_near": "P(O), duplicates right",
    "p_object_after": "P(O) of detections",
    "p_class": "P(C|O)",
    "score": "score",
}
LIKELY = "above_.05"
SAMPLES = {"all": "of all", LIKELY: "above .05"}
FIRSTS = ("RetinaNet", "ATSS", "GFL", "CenterNet")  # one-stage designs, as first stages
RPNS = ("FasterRCNN-RPN", "FasterRCNN-RPN, 256 proposals at NMS .9")  # the second as many as others
SCORES = [  # a row, and the one that its score is compared with
    ("FasterRCNN-CenterNet", "FasterRCNN-CenterNet, class"),
    ("FasterRCNN-RPN, product", "FasterRCNN-RPN"),
    ("FasterRCNN-CenterNet", "CenterNet*"),
    ("FasterRCNN-CenterNet", "FasterRCNN-RPN"),
]
REFERENCES = {
    "as_claimed": "as claimed",
    "temperature": "temperature scaled",
    "isotonic": "isotonic",
}


def errors(quantity="d_ece", sample="all"):
    """Columns of `table`: a quantity of each probability."""
    return {words: (name, sample, quantity) for name, words in PROBABILITIES.items()}


def references(probability="score", sample="all"):
    """Columns of `table`: D-ECE of the held-out half, as claimed and after each recalibration."""
    return {words: (probability, sample, f"held_out_{name}") for name, words in REFERENCES.items()}


def table(lines, found, columns):
    """Mean, interval and seeds by row, variant, scale and column, a line each.

    lines: of `tables.measured`; found: its records by id; columns: by header the probability,
    sample and quantity, see `calibration.measure`. NaN where no record has it.
    """
    keys = ["row", "variant", "scale"]
    values = [
        {key: line[key] for key in keys}
        | {"probability": header, "value": _value(found.get(line["record"]), *path)}
        for line in lines.to_dict("records")
        for header, path in columns.items()
    ]
    groups = pd.DataFrame(values).groupby([*keys, "probability"], sort=False)
    means = [(*key, *estimate(group["value"])) for key, group in groups]
    return pd.DataFrame(means, columns=[*keys, "probability", *Estimate._fields])


def readable(frame):
    """A `table` of one variant for people: a line a row; a dash where no record is."""
    cells = frame.assign(cell=tables.cells(frame))
    grid = cells.pivot(index="row", columns="probability", values="cell")
    grid = grid.loc[cells["row"].unique(), cells["probability"].unique()].fillna(DASH)
    return grid.rename_axis(index=None, columns=None)


def told(lines, found):
    """Everything that `words` can say of the rows that are there: of scores, then of P(O)."""
    firsts = [(f"FasterRCNN-{first}", rpn) for rpn in RPNS for first in FIRSTS]
    of_firsts = [words(lines, found, firsts, name) for name in ("p_object", "p_object_near")]
    return words(lines, found, SCORES) + [said for each in of_firsts for said in each]


def words(lines, found, pairs, probability="score"):
    """Whether a row's probability has a lower D-ECE than another's, seed by seed, as sentences.

    pairs: of a row and the one that it is compared with; those that are not there are left out.
    Each sentence has a verdict for each sample, and how much more of the row's comes true than it
    claims.
    """
    by_row = {row: of_row.set_index("seed")["record"] for row, of_row in lines.groupby("row")}
    what = "" if probability == "score" else f" of {PROBABILITIES[probability]}"
    said = []
    for row, than in [pair for pair in pairs if by_row.keys() >= {*pair}]:
        parts = []
        for sample, shown in SAMPLES.items():
            path = probability, sample, "d_ece"
            less = estimate(_of(by_row[than], found, *path) - _of(by_row[row], found, *path))
            parts.append(f"{shown} by {less.text('+')} %: **{verdict(less, 'gain')}**")
        path = probability, LIKELY, "more"
        more = [
            f"{one} {estimate(_of(by_row[one], found, *path)).text('+')} %" for one in (row, than)
        ]
        claim = f"{row} has a lower D-ECE{what} than {than}: {', '.join(parts)}"
        beyond = f"Come true beyond what is claimed, {SAMPLES[LIKELY]}: {', '.join(more)}"
        said.append(f"{claim}. {beyond}")
    return said


def tide(lines, found):
    """What each kind of error of TIDE costs in AP50, percent, the mean of a row's seeds."""
    costs = [
        {"row": line["row"], "kind": kind, "cost": cost}
        for line in lines.to_dict("records")
        for kind, cost in _tide(found.get(line["record"])).items()
    ]
    frame = pd.DataFrame(costs, columns=["row", "kind", "cost"])
    return frame.pivot_table("cost", "row", "kind", sort=False).map(number)


def finding(record, probability, sample):
    """What a record says of a probability in a sample: a dict, empty where it says nothing."""
    return tables.finding(record, "calibration").get(probability, {}).get(sample, {})


def _tide(record):
    return tables.finding(record, "calibration").get("tide", {}).get("delta_ap", {})


def _of(records, found, *path):
    return records.map(lambda key: _value(found.get(key), *path))


def _value(record, probability, sample, quantity):
    """A quantity of a sample in percent, NaN where there is none; see `calibration.measure`.

    "more" is the share that is right less the mean claim.
    """
    numbers = finding(record, probability, sample)
    value = _more(numbers.get("bins")) if quantity == "more" else numbers.get(quantity)
    return float("nan") if value is None else value


def _more(bins):
    if not bins or not sum(bins["count"]):
        return None
    count, claimed, share = (np.array(bins[name], float) for name in ("count", "claimed", "share"))
    return float(100 * np.nansum(count * (share - claimed)) / count.sum())
