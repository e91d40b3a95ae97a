"""What was learnt of a known truth, beside the truth and the loss's own optimum: from records."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd

from p2s.maths import optimum
from p2s.maths.optimum import NUMBERS
from p2s.report.intervals import DASH, Estimate, estimate, number, sentence
from p2s.report.results import Results
from p2s.report.tables import optima as of_losses
from p2s.report.tables.estimates import cells, estimates, every
from p2s.report.tables.judged import in_words

WHEN = {"relative": "to the control", "before": "before NMS", "after": "after NMS"}
NAMES = dict(zip(NUMBERS, ("P(O)", "P(A|O)", "P(A)"), strict=True))
OF_CONTROL = dict(zip(NUMBERS, ("p_object", "p_foreground", "p_any"), strict=True))
UNDONE = "{}, odds undone"  # the row of an RPN whose sampler's odds are undone at each location
GAPS = ("truth", "optimum")  # what a distance is from
TOLERANCE = 5.0  # percent: the mean distance from the truth up to which P(O) counts as calibrated
FIRSTS = (  # rows of experiments/posterior.yaml that differ in the first stage alone
    "RPN",
    "RetinaNet",
    "ATSS",
    "GFL",
    "CenterNet*, focal",
    "CenterNet*, plain likelihood",
)
COLUMNS = ("q", "r", "when", "number", "learnt", "truth", "optimum")


def learnt(results: Results) -> pd.DataFrame:
    """A line for each row, seed, character, moment and number of `posterior_numbers`.

    Columns: row, scale, seed, q, r, when, number, learnt, truth and optimum; NaN where a detector
    found no such object.

    "relative" is before NMS, over the same of the control, the character of q = 1: over its P(O),
    its 1 - P(bg|O), their product. Which location answers cannot be told exactly from the pixels,
    and that costs both the same share, in whichever stage. An RPN has one more row, of P(O) with
    its odds undone.
    """
    frame = results.lines("posterior", ["named", *COLUMNS], _told).astype({"learnt": float})
    return frame.assign(row=frame["named"])[["row", "scale", "seed", *COLUMNS]]


def distances(frame: pd.DataFrame) -> pd.DataFrame:
    """How far what was learnt is from the truth and the optimum, in percent: `value`.

    A line for each row, scale, moment, number, distance (`from`) and seed: the mean over characters
    by chance.
    """
    keys = ["row", "scale", "when", "number", "seed"]
    wanted = frame[frame["q"] < 1].melt([*keys, "learnt"], GAPS, "from", "wanted")
    gaps = wanted.assign(value=100 * (wanted["learnt"] - wanted["wanted"]).abs())
    return gaps.groupby([*keys, "from"], sort=False, as_index=False)["value"].mean()


def errors(frame: pd.DataFrame) -> pd.DataFrame:
    """The Estimate over seeds of each of the `distances`, a line each.

    What an exact likelihood does not identify has no optimum.
    """
    return estimates(distances(frame), ["row", "scale", "when", "number", "from"])


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """`errors` for people: a line a row, columns by moment, number and what it is a distance from.

    Cells are mean ± half the interval over seeds.
    """
    words = frame.assign(when=frame["when"].map(WHEN), of=frame["number"].map(NAMES))
    grid = words.assign(cell=cells(frame)).pivot(
        index="row", columns=["when", "from", "of"], values="cell"
    )
    return grid.loc[frame["row"].unique()].fillna(DASH).rename_axis(index=None)


def words(frame: pd.DataFrame, name: str = "p_object") -> list[str]:
    """How far a number of each row is from the truth and from its loss's own optimum, in sentences.

    It is the number before NMS relative to the control. It is calibrated where the interval of the
    mean distance is below TOLERANCE, which was chosen before the records, and not where it is
    above.
    """
    said = []
    for row, (truth, best) in _gaps(frame, name).items():
        claim, unit = f"{row}: {NAMES[name]} is", " % from the truth"
        if best.seeds:
            near = sentence(claim, truth, _judged(truth), unit=unit)
            said.append(f"{near}; {best.text()} from its loss's own optimum")
        else:
            said.append(f"{claim} {truth.text()}{unit}, which its loss does not identify")
    return said


def told(frame: pd.DataFrame) -> list[str]:
    """Everything that `words`, `against` and `answer` say: of P(O), then of the product."""
    fixed = UNDONE.format(FIRSTS[0])
    said = [answer(frame, [*FIRSTS, fixed]), *words(frame), *words(frame, "product")]
    return (
        said + against(frame, FIRSTS[0], [*FIRSTS[1:], fixed]) + against(frame, fixed, FIRSTS[1:])
    )


def answer(frame: pd.DataFrame, rows: Sequence[str], name: str = "p_object") -> str:
    """Which of these rows infer a number as `words` judges it, in one sentence."""
    gaps, groups = _gaps(frame, name), {}
    for row in filter(gaps.__contains__, rows):
        groups.setdefault(_judged(gaps[row][0]), []).append(row)
    told = [f"**{judged}**: {'; '.join(of)}" for judged, of in groups.items()]
    return f"Within {TOLERANCE:g} % of the true {NAMES[name]}? {'. '.join(told) or DASH}."


def against(frame: pd.DataFrame, reference: str, rows: Sequence[str]) -> list[str]:
    """Whether rows are nearer to the true P(O) than a reference, as sentences; see `nearer`."""
    said = []
    for row in [row for row in rows if {row, reference} <= set(frame["row"])]:
        claim = f"{row} is nearer to the true {NAMES['p_object']} than {reference}: by"
        gain = nearer(frame, row, reference)
        judged = in_words(gain, "gain", frame["scale"].iloc[0])
        said.append(sentence(claim, gain, judged, "+", " %"))
    return said


def nearer(frame: pd.DataFrame, row: str, reference: str, name: str = "p_object") -> Estimate:
    """How much nearer a row's number is to the truth than a reference's, seed by seed, in percent.

    The distance is the mean over characters by chance of the number to the control.
    """
    some = distances(frame[(frame["when"] == "relative") & (frame["number"] == name)])
    some = some[some["from"] == "truth"].pivot(index="seed", columns="row", values="value")
    some = some.reindex(columns=[reference, row])  # NaN where no record is
    return estimate(some[reference] - some[row])


def higher(frame: pd.DataFrame, row: str, than: str) -> Estimate:
    """How much higher a row's P(O) is than another's, over characters by chance, in percent."""
    some = frame[(frame["when"] == "relative") & (frame["number"] == "p_object") & (frame["q"] < 1)]
    means = some.pivot_table("learnt", "seed", "row").reindex(columns=[row, than])
    return estimate(100 * (means[row] - means[than]))


def _judged(gap):
    if gap.seeds < 2:
        return "undecided"
    if gap.high <= TOLERANCE:
        return "calibrated"
    return "not calibrated" if gap.low > TOLERANCE else "undecided"


def shares_found(results: Results) -> pd.DataFrame:
    """The share of objects, in percent, that have a proposal left after NMS: by row and q."""

    def found(_, finding):
        for character in finding.get("characters", []):
            if character["objects"]:
                yield character["q"], 100 * character["after"]["found"] / character["objects"]

    frame = results.lines("posterior", ["q", "found"], found)
    return frame.pivot_table("found", "row", "q", sort=False).map(number)


def optima(chances: Sequence[float]) -> pd.DataFrame:
    """What losses of P(O) learn of each q, at an IoU of .8 for GFL's and a sampled share of .25."""
    rows = {
        "cross entropy": optimum.likelihood,
        "focal loss": optimum.focal,
        "quality focal loss, IoU .8": lambda q: optimum.quality(q, [0.8]),
        "RPN, a quarter of the negatives": lambda q: optimum.sampling(q, 0.25),
    }
    frame = pd.DataFrame({name: [of(q) for q in chances] for name, of in rows.items()}, chances)
    return frame.T.rename_axis(columns="q").map(lambda value: number(value, digits=2))


def _gaps(frame, name):
    """Of each row the Estimates of a number's distances to the control, in GAPS' order."""
    gaps = errors(frame[(frame["when"] == "relative") & (frame["number"] == name)])
    return {row: every(lines) for row, lines in gaps.groupby("row", sort=False)}


def _told(run, finding):
    """Row and COLUMNS of all that a record says, an RPN's odds undone last."""
    if not finding:
        return
    sure = of_losses.sureness(run.spec, finding)
    for character in finding["characters"]:
        for line in _numbers(run.spec, finding, character, sure):
            yield run.row, character["q"], character["r"], *line
    if run.spec.first == "rpn":
        for line in _undone(finding):
            yield UNDONE.format(run.row), *line


def _numbers(spec, finding, character, sure):
    """The last of COLUMNS, of each moment and number."""
    q, r = character["q"], character["r"]
    truth, said = optimum.Learnt(q, r, 0.0), dict(character)
    said["relative"] = _to_control(character["before"], finding)
    wanted = {when: of_losses.best(spec, finding, q, r) for when in WHEN}
    wanted["relative"] = of_losses.best_to_control(spec, finding, q, r, sure)
    known = spec.second_stage.objective not in ("exact", "exact@K", "max")
    for when, name in product(WHEN, NUMBERS):
        best = getattr(wanted[when], name) if known or name == "product" else np.nan
        yield when, name, said[when][name], getattr(truth, name), best


def _to_control(said, finding):
    """Numbers before NMS over the control's; None where they are missing."""
    if said["p_object"] is None:
        return said
    return {name: said[name] / of_losses.control(finding, of) for name, of in OF_CONTROL.items()}


def _undone(finding):
    """COLUMNS of P(O) with an RPN's odds undone, before NMS and relative to the control."""
    shares = {"before": 1.0, "relative": of_losses.control(finding, "undone")}
    for character in finding["characters"]:
        q, r, undone = character["q"], character["r"], character["before"]["undone"]
        if undone is not None:
            for when, share in shares.items():
                yield q, r, when, "p_object", undone / share, q, q
