"""Parts of a difference: the same two rows by threshold, size, class, kind of error and powers.

What a record does not hold has no line. Intervals are over seeds, not corrected for how many there
are: they say where to look.
"""

from collections.abc import Callable, Iterable, Mapping

import pandas as pd

from p2s.report.intervals import Estimate, estimate, verdict
from p2s.report.results import Results
from p2s.report.tables import calibration, fusion, posterior
from p2s.report.tables.ablation import effects
from p2s.report.tables.estimates import every
from p2s.study.experiments import Contrast
from p2s.study.records import Record

Told = Callable[[Record], Mapping[str, float | None]]  # parts of a record by name
Rows = tuple[str, str]  # a row, and the one that it is held against
CLAIMED, AGAINST = "of the paper's sign", "opposite"
SIDES = {"holds": CLAIMED, "does not hold": AGAINST}  # of verdicts on signs
COSTLY = {"gain": "loss", "loss": "gain"}  # what a claim about AP expects of a cost
SIZES = {"APs": "S", "APm": "M", "APl": "L"}  # by COCO's pixels
THIRDS = ("smallest third", "middle third", "largest third")  # of the objects
ERRORS = "TIDE_"  # how metrics begin that are costs in AP50: less is better
POWERS = [0.0, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0]  # of P(O), by that of P(C|O)
COLUMNS = ("group", "part", *Estimate._fields, "side")


def by_variant(results: Results, contrast: Contrast) -> pd.DataFrame:
    """The contrast in every test setting of its experiment: COLUMNS."""
    frame = effects(results, [contrast])
    names = map(results.said, frame["variant"])
    return _lines("test setting", zip(names, every(frame), strict=True), contrast.expects)


def by_record(of_variant: Results, contrast: Contrast) -> pd.DataFrame:
    """AP above thresholds, of sizes, costs of errors, AP of classes: COLUMNS, of one variant."""
    groups = {"threshold": _thresholds, "size": _sizes, "error": _errors, "class": _classes}
    parts = [_of(of_variant, contrast, told, group) for group, told in groups.items()]
    return pd.concat(parts, ignore_index=True)


def by_power(of_variant: Results, contrast: Contrast, lab: Results) -> pd.DataFrame:
    """AP of all scores by P(O)'s power over P(C|O)'s: COLUMNS, from `lab`, that of fusion.

    Its records are of the same trainings. Of rows of one training the difference is from power 0.
    """
    curves = fusion.curves(lab)
    names = [_in_lab(of_variant, row, lab) for row in contrast.rows]
    if len(names) > 2 or None in names:
        return pd.DataFrame(columns=list(COLUMNS))
    first, second = (curves[name].reindex(columns=POWERS) for name in names)
    gain = first - second if names[0] != names[1] else _over_the_class(first)
    return _lines("power of P(O)", _of_powers(gain), contrast.expects)


def of_lab(lab: Results, row: str, expects: str) -> pd.DataFrame:
    """AP of one row of the lab by P(O)'s power, from power 0: COLUMNS."""
    gain = _over_the_class(fusion.curves(lab)[row].reindex(columns=POWERS))
    return _lines("power of P(O)", _of_powers(gain), expects)


def by_quantity(of_variant: Results, rows: Rows, quantity: str, expects: str) -> pd.DataFrame:
    """How much more of a quantity one row's probabilities have than another's: COLUMNS.

    Of calibration by probability and sample; of a known truth by probability and by true P(O).
    """
    of_truth = quantity in ("true", "high")
    told = _of_truth(of_variant, rows, quantity) if of_truth else _calibrated(of_variant, rows)
    return _lines("probability", told, expects)


def side(effect: Estimate, expects: str | None) -> str:
    """CLAIMED or AGAINST where the whole interval is on a side, else empty."""
    return SIDES.get(verdict(effect, expects), "")


def gains(of_variant: Results, contrast: Contrast, told: Told) -> pd.DataFrame:
    """The contrast's difference in each part, (seeds, parts); NaN where a row has none."""
    first, second, *less = (_table(of_variant, row, told) for row in contrast.rows)
    gain = first - second
    return gain - (less[0] - less[1]) if less else gain


def _over_the_class(curve):
    return curve.sub(curve[0.0], axis=0).drop(columns=0.0)


def _of_powers(gain):
    return _estimates(gain.rename(columns="{:g}".format))


def _calibrated(of_variant, rows):
    for name, words in calibration.PROBABILITIES.items():
        for sample, said in calibration.SAMPLES.items():
            yield f"{words}, {said}", calibration.lower(of_variant, *rows, name, sample)


def _of_truth(of_variant, rows, quantity):
    frame = posterior.learnt(of_variant)
    more = posterior.nearer if quantity == "true" else posterior.higher
    for name in posterior.NAMES if quantity == "true" else ():
        yield posterior.NAMES[name], posterior.nearer(frame, *rows, name)
    for chance in sorted({*frame["q"].dropna()} - {1.0}):
        yield f"P(O) of {chance:g}", more(frame[frame["q"] == chance], *rows)


def _of(of_variant, contrast, told, group):
    frame = gains(of_variant, contrast, told)
    return _lines(group, _estimates(frame), contrast.expects)


def _table(of_variant, row, told) -> pd.DataFrame:
    """What is told of each seed's record of a row, (seeds, parts)."""
    pairs = [(run.seed, record) for run, record in of_variant.pairs if record and run.row == row]
    return pd.DataFrame({seed: told(record) for seed, record in pairs}, dtype=float).T


def _in_lab(of_variant, row, lab):
    """The lab's row of the same training and number of proposals; None if it has none."""
    asked = {_detector(run) for run in of_variant.runs if run.row == row}
    return next((run.row for run in lab.runs if _detector(run) in asked), None)


def _detector(run):
    return run.training_id, run.spec.test.proposals


def _estimates(frame) -> Iterable[tuple[str, Estimate]]:
    return ((part, estimate(frame[part])) for part in frame.columns)


def _lines(group, effects: Iterable[tuple[str, Estimate]], expects) -> pd.DataFrame:
    if group == "error":
        expects = COSTLY.get(expects, expects)
    lines = [
        (group, part, *effect, side(effect, expects)) for part, effect in effects if effect.seeds
    ]
    return pd.DataFrame(lines, columns=list(COLUMNS))


def _thresholds(record):
    of = record.parts.get("threshold", {"above": (), "AP": ()})
    return {f"above {score:g}": ap for score, ap in zip(of["above"], of["AP"], strict=True)}


def _sizes(record):
    of_pixels = {size: record.metrics.get(name) for name, size in SIZES.items()}
    thirds = record.parts.get("size", {}).get("AP", ())
    return of_pixels | dict(zip(THIRDS, thirds, strict=False))


def _errors(record):
    costs = {name: value for name, value in record.metrics.items() if name.startswith(ERRORS)}
    return {name.removeprefix(ERRORS): value for name, value in costs.items()}


def _classes(record):
    return record.per_class
