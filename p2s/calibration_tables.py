"""Calibration in tables: pure functions of records whose findings hold `calibration.measure`."""

import pandas as pd

from p2s import tables
from p2s.statistics import DASH, Estimate, estimate, number, verdict

PROBABILITIES = {  # as in `calibration`: in words
    "p_object": "P(O)",
    "p_object_near": "P(O), duplicates right",
    "p_object_after": "P(O) of detections",
    "p_class": "P(C|O)",
    "score": "score",
}
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
        | {"column": header, "value": _value(found.get(line["record"]), *path)}
        for line in lines.to_dict("records")
        for header, path in columns.items()
    ]
    groups = pd.DataFrame(values).groupby([*keys, "column"], sort=False)
    means = [(*key, *estimate(group["value"])) for key, group in groups]
    return pd.DataFrame(means, columns=[*keys, "column", *Estimate._fields])


def readable(frame):
    """A `table` of one variant for people: a line a row; a dash where no record is."""
    cells = frame.assign(cell=tables.cells(frame))
    grid = cells.pivot(index="row", columns="column", values="cell")
    grid = grid.loc[cells["row"].unique(), cells["column"].unique()].fillna(DASH)
    return grid.rename_axis(index=None, columns=None)


def words(lines, found, pairs, probability="score", sample="above_.05"):
    """Whether a row's probability has a lower D-ECE than another's, seed by seed, as sentences.

    pairs: of a row and the one that it is compared with.
    """
    by_row = {row: of_row.set_index("seed")["record"] for row, of_row in lines.groupby("row")}
    said = []
    for row, than in pairs:
        both = [
            by_row[name].map(lambda key: _value(found.get(key), probability, sample, "d_ece"))
            for name in (than, row)
        ]
        less = estimate(both[0] - both[1])
        what = "" if probability == "score" else f" of {PROBABILITIES[probability]}"
        claim = f"{row} has a lower D-ECE{what} than {than}: by {less.text('+')} %"
        said.append(f"{claim}: **{verdict(less, 'gain')}**")
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


def _value(record, probability, sample, quantity):
    value = finding(record, probability, sample).get(quantity)
    return float("nan") if value is None else value
