"""Calibration in tables: pure functions of records whose findings hold `calibration.measure`."""

import pandas as pd

from p2s import tables
from p2s.statistics import DASH, Estimate, estimate

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
    """A `table` for people: a line for each row and variant; a dash where no record is."""
    line = [
        ", ".join(filter(None, pair)) for pair in zip(frame["row"], frame["variant"], strict=True)
    ]
    cells = frame.assign(cell=tables.cells(frame), line=line)
    grid = cells.pivot(index=["scale", "line"], columns="column", values="cell")
    places = cells[["scale", "line"]].drop_duplicates().itertuples(index=False, name=None)
    grid = grid.loc[list(places), cells["column"].unique()].fillna(DASH)
    return grid.rename_axis(columns=None)


def finding(record, probability, sample):
    """What a record says of a probability in a sample: a dict, empty where it says nothing."""
    calibration = record.findings.get("calibration", {}) if record else {}
    return calibration.get(probability, {}).get(sample, {})


def _value(record, probability, sample, quantity):
    value = finding(record, probability, sample).get(quantity)
    return float("nan") if value is None else value
