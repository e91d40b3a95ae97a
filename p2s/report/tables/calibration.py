"""Calibration in tables: pure functions of records whose findings hold `calibration_numbers`."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from p2s.report.intervals import Estimate, estimate, number, sentence
from p2s.report.results import Results
from p2s.report.tables.estimates import estimates, grid
from p2s.report.tables.judged import in_words

Path = tuple[str, str, str]  # a probability, a sample, a quantity of `measure.calibration`
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


def errors(quantity: str = "d_ece", sample: str = "all") -> dict[str, tuple[str, str, str]]:
    """Columns of `table`: a quantity of each probability."""
    return {words: (name, sample, quantity) for name, words in PROBABILITIES.items()}


def references(probability: str = "score", sample: str = "all") -> dict[str, tuple[str, str, str]]:
    """Columns of `table`: D-ECE of the held-out half, as claimed and after each recalibration."""
    return {words: (probability, sample, f"held_out_{name}") for name, words in REFERENCES.items()}


def table(results: Results, columns: dict[str, Path]) -> pd.DataFrame:
    """Mean, interval and seeds by row, variant, scale and column, a line each.

    columns: by header the probability, sample and quantity, see `measure.calibration`. NaN where no
    record has it.
    """

    def told(_, finding):
        return [(header, _value(finding, *path)) for header, path in columns.items()]

    lines = results.lines("calibration", ["probability", "value"], told)
    return estimates(lines, ["row", "variant", "scale", "probability"])


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """A `table` of one variant for people: a line a row; a dash where no record is."""
    return grid(frame, "probability")


def told(results: Results) -> list[str]:
    """Everything that `words` can say of the rows that are there: of scores, then of P(O)."""
    firsts = [(f"FasterRCNN-{first}", rpn) for rpn in RPNS for first in FIRSTS]
    of_scores = words(results, SCORES)
    return of_scores + words(results, firsts, "p_object") + words(results, firsts, "p_object_near")


def words(
    results: Results, pairs: Sequence[tuple[str, str]], probability: str = "score"
) -> list[str]:
    """Whether a row's probability has a lower D-ECE than another's, seed by seed, as sentences.

    pairs: of a row and the one that it is compared with; those that are not there are left out.
    Each sentence has a verdict for each sample, and how much more of the row's comes true than it
    claims.
    """
    here = [pair for pair in pairs if {*pair} <= {*results.rows}]
    return [_lower_in_words(results, *pair, probability) for pair in here]


def tide(results: Results) -> pd.DataFrame:
    """What each kind of error of TIDE costs in AP50, percent, the mean of a row's seeds."""

    def costs(_, finding):
        return finding.get("tide", {}).get("delta_ap", {}).items()

    frame = results.lines("calibration", ["kind", "cost"], costs)
    return frame.pivot_table("cost", "row", "kind", sort=False).map(number)


def lower(results: Results, row: str, than: str, probability: str, sample: str) -> Estimate:
    """How much lower a row's D-ECE is than another's, seed by seed, in percent."""
    error = _by_seed(results, probability, sample, "d_ece")
    return estimate(error[than] - error[row])


def sampled(finding: dict, probability: str, sample: str) -> dict:
    """What a finding says of a probability in a sample; empty where it says nothing."""
    return finding.get(probability, {}).get(sample, {})


def _lower_in_words(results, row, than, probability):
    """Whether a row's D-ECE is lower than another's, as a sentence."""
    parts = []
    for sample, shown in SAMPLES.items():
        less = lower(results, row, than, probability, sample)
        parts.append(
            sentence(f"{shown} by", less, in_words(less, "gain", results.scale), "+", " %")
        )
    beyond = _by_seed(results, probability, LIKELY, "more")
    more = [f"{name} {estimate(beyond[name]).text('+')} %" for name in (row, than)]
    what = "" if probability == "score" else f" of {PROBABILITIES[probability]}"
    claim = f"{row} has a lower D-ECE{what} than {than}: {', '.join(parts)}"
    return f"{claim}. Come true beyond what is claimed, {SAMPLES[LIKELY]}: {', '.join(more)}"


def _by_seed(results, *path):
    """A quantity of every row, (seeds, rows)."""
    lines = results.lines("calibration", ["value"], lambda _, said: [(_value(said, *path),)])
    return lines.pivot(index="seed", columns="row", values="value")


def _value(finding, probability, sample, quantity):
    """A quantity of a sample in percent, NaN where there is none; see `calibration_numbers`.

    "more" is the share that is right less the mean claim.
    """
    numbers = sampled(finding, probability, sample)
    value = _more(numbers.get("bins")) if quantity == "more" else numbers.get(quantity)
    return float("nan") if value is None else value


def _more(bins):
    if not bins or not sum(bins["count"]):
        return None
    count, claimed, share = (np.array(bins[name], float) for name in ("count", "claimed", "share"))
    return float(100 * np.nansum(count * (share - claimed)) / count.sum())
