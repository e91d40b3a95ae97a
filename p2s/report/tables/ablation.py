"""Tables of rows and variants, and the differences that a claim is about: functions of Results.

A missing record is a missing number: it prints as a dash and is never filled with the paper's.
"""

from collections.abc import Callable, Sequence

import pandas as pd

from p2s.report.intervals import DASH, Estimate, estimate, number, sentence, verdict
from p2s.report.results import Results
from p2s.report.tables.estimates import cells, estimates, every, grid
from p2s.study.experiments import Contrast
from p2s.study.published import Published, of_table

PAPER_LINE, CLAIM_LINE = "the paper", "claimed"
CLAIMS = {"gain": "a gain", "loss": "a loss", "none": "no change"}  # of a contrast, in words
NOT_STARTED = "not started"  # in place of a verdict
WIDE = 6  # columns of a table that fit on a page
EFFECT = ("contrast", "variant", "scale", "expects", "paper", *Estimate._fields, "verdict")


def table(results: Results, metric: str = "AP") -> pd.DataFrame:
    """Mean, interval (low, high) and seeds of a metric, a line for each row and variant."""
    return estimates(results.of(metric), ["row", "variant", "scale", "paper"])


def every_metric(results: Results) -> pd.DataFrame:
    """The table of every metric that some record has, one below the other."""
    return pd.concat([table(results, metric).assign(metric=metric) for metric in results.metrics])


def quoted(results: Results) -> pd.DataFrame:
    """The rows of the paper's table that the experiment has not, with all their columns.

    These are published numbers, of detectors or means that are not here.
    """
    ours = {row.paper.row for row in results.experiment.rows if row.paper}
    number = results.experiment.quotes
    lines = [cell for cell in of_table(number) if cell.row not in ours] if number else []
    frame = pd.DataFrame(lines, columns=list(Published._fields))
    frame["cell"] = [DASH if pd.isna(value) else f"{value:g}" for value in frame["value"]]
    return grid(frame, "column")


def beside(results: Results) -> pd.DataFrame:
    """Cells of every metric but AP that some record has, a line for each row."""
    lines = results.frame[results.frame["metric"].isin({*results.metrics} - {"AP"})]
    return grid(estimates(lines, ["row", "metric"]), "metric")


def effects(results: Results, contrasts: Sequence[Contrast] | None = None) -> pd.DataFrame:
    """The differences that an experiment is about, a line for each variant and contrast: EFFECT.

    Rows are paired seed by seed; those of one training only where they have the same weights. The
    verdict on what the paper `expects` is computed, see `intervals.RULE`. `contrasts` are the
    experiment's unless given.
    """
    contrasts = results.contrasts if contrasts is None else contrasts
    places = results.of("AP")[["variant", "scale"]].drop_duplicates()
    metrics = {contrast.metric for contrast in contrasts}
    frame = results.frame[results.frame["metric"].isin(metrics)].set_index("seed")
    by_row = dict(tuple(frame.groupby(["metric", "variant", "scale", "row"], sort=False)))
    lines = [
        _effect(results, contrast, variant, scale, by_row)
        for variant, scale in places.itertuples(index=False)
        for contrast in contrasts
    ]
    return pd.DataFrame(lines, columns=list(EFFECT))


def words(effects: pd.DataFrame, said: Callable[[str], str] = str) -> list[str]:
    """Each effect of which the paper claims something, as a sentence with its verdict.

    `said` is what a label is called, see Results.said.
    """
    claimed = effects[effects["expects"] != DASH]
    return [
        sentence(f"{said(line.contrast)}: {_claimed(line)}, here", effect, line.verdict, "+")
        for line, effect in zip(claimed.itertuples(), every(claimed), strict=True)
    ]


def readable(frame: pd.DataFrame, said: Callable[[str], str] = str) -> pd.DataFrame:
    """A table or effects for people: a line for each variant, and the paper's values as the last.

    Of effects what the paper claims is one more. Where that is wider than long, these and the
    variants are columns. A cell is mean ± half the interval (seeds), of an effect also its interval
    over images and its verdict; a dash where no record is. What a line was measured at stands
    before it: scale, variant. `said` is what a label is called, see Results.said.
    """
    name, of_effects = frame.columns[0], "verdict" in frame
    text = _of_effects(frame) if of_effects else cells(frame)
    places = zip(frame["scale"], frame["variant"], strict=True)
    lines = [", ".join(filter(None, place)) for place in places]
    table = grid(frame.assign(cell=text, line=lines), name, "line")
    published = frame.drop_duplicates(name)
    table.loc[PAPER_LINE] = [number(value, "+" * of_effects) for value in published["paper"]]
    if of_effects:
        table.loc[CLAIM_LINE] = [CLAIMS.get(claim, DASH) for claim in published["expects"]]
    table = table.rename(index=said, columns=said)
    return table.T if table.shape[1] > max(len(table), WIDE) else table


def _of_effects(effects) -> list[str]:
    """Each difference with its interval over images, where it has one, and its verdict."""
    texts = cells(effects, "+")
    if "image_low" in effects:
        ends = zip(effects["image_low"], effects["image_high"], strict=True)
        spans = [f", images {number(low, '+')} to {number(high, '+')}" for low, high in ends]
        texts = [text + span * (DASH not in span) for text, span in zip(texts, spans, strict=True)]
    pairs = zip(texts, effects["verdict"], strict=True)
    return [text if said == DASH else f"{text}: {said}" for text, said in pairs]


def named(contrast: Contrast) -> str:
    """The name of a contrast in a table of all."""
    return f"{contrast.row}: {contrast.name}"


def _effect(results, contrast, variant, scale, by_row):
    """A line of EFFECT."""
    rows = {row: by_row[contrast.metric, variant, scale, row] for row in contrast.rows}
    gain = difference(rows[contrast.row], rows[contrast.than])
    if contrast.less:
        gain = gain - difference(*(rows[row] for row in contrast.less))
    effect, printed = estimate(gain["value"]), round(float(gain["paper"].mean()), 2)
    said = verdict(effect, contrast.expects)
    if said != DASH and not results.not_started.isdisjoint(contrast.rows):
        said = NOT_STARTED
    names = (named(contrast), variant, scale, contrast.expects or DASH)
    return (*names, printed, *effect, said)


def difference(lines: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """Value and paper of one row's lines less another's, by seed; see `effects` for the pairing."""
    apart = (lines["training"] == others["training"]) & (lines["weights"] != others["weights"])
    gain = lines[["value", "paper"]] - others[["value", "paper"]]
    return gain.assign(value=gain["value"].mask(apart))


def _claimed(effect):
    claim, printed = CLAIMS[effect.expects], number(effect.paper, "+")
    return f"claimed {claim}" if printed == DASH else f"published {printed} ({claim})"
