"""The answer of an experiment in short: two sentences, and its rows beside the paper's numbers."""

from collections import Counter
from collections.abc import Callable
from html import escape

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from p2s.report import marks, verdicts
from p2s.report.intervals import DASH, Estimate, number
from p2s.report.results import Results
from p2s.report.tables import ablation
from p2s.report.tables.estimates import cells, every

COLUMNS = (
    *("row", "AP", "the paper's AP", "what is compared", "difference", "the paper's"),
    *("over seeds", "over images", "verdict", "records"),
)
SAID = {  # a verdict as the end of a sentence on several
    "holds": "hold",
    "does not hold": "do not hold",
    "undecided": "are undecided",
    "not started": "have not started to learn",
    verdicts.PUBLISHED: "are as published",
    verdicts.OTHER_SIZE: "have the paper's sign and another size",
    verdicts.UNSEEN: "are not seen",
    verdicts.OPPOSITE: "have the opposite sign",
    verdicts.NOT_COMPARABLE: "are not comparable",
}
ONE = {"hold": "holds", "do": "does", "are": "is", "have": "has"}


def sentences(of_variant: Results, effects: pd.DataFrame) -> str:
    """What came of the differences that the paper claims, and their signs, as Markdown.

    `effects` are those of the same variant, see `tables.judged.effects`.
    """
    claimed = effects[effects["expects"] != DASH]
    known = claimed[claimed["seeds"] > 0]
    if claimed.empty:
        return "The paper claims no difference between these rows."
    if known.empty:
        return f"No record yet of any of {len(claimed)} differences that the paper claims."
    counts = Counter(known["verdict"].map(marks.status))
    told = [_said(status, count) for status, count in counts.most_common()]
    if missing := len(claimed) - len(known):
        told.append(f"{missing} {'have' if missing > 1 else 'has'} no record yet")
    came = " and ".join(filter(None, (", ".join(told[:-1]), told[-1])))
    of = f"Of {len(claimed)} differences that the paper claims, {came}"
    if len(claimed) == 1:
        of = f"The one difference that the paper claims {told[0][2:]}"
    return f"**{of}.** {_signs(known)}{_clearest(known, of_variant.said)}"


def readable(of_variant: Results, effects: pd.DataFrame) -> Styler:
    """A line for each row and difference of it from another: COLUMNS; a row may have none."""
    means = ablation.table(of_variant).set_index("row")
    frame = pd.DataFrame(
        [
            (*_of_row(of_variant, means, row), *told, links(of_variant, row))
            for row in of_variant.rows
            for told in _differences(of_variant, effects, row)
        ],
        columns=list(COLUMNS),
    )
    style = frame.style.hide().set_table_attributes('class="rows"')
    return style.format(escape="html", subset=list(COLUMNS[:8]))


def _said(status, count):
    ending = SAID[status]
    if count == 1:
        first, _, rest = ending.partition(" ")
        ending = " ".join(filter(None, (ONE[first], rest)))
    return f"{count} {ending}"


def _signs(known: pd.DataFrame) -> str:
    """A sentence on how many means of several have the paper's sign, seen or not."""
    signs = known["expects"].map(verdicts.SIGNS)
    directed = known[signs != 0]
    if len(directed) < 2:
        return ""
    alike = (np.sign(directed["mean"]) == signs[directed.index]).sum()
    return f"The mean has the paper's sign in {alike} of {len(directed)}, comparable or not. "


def _clearest(known: pd.DataFrame, said: Callable[[str], str] = str) -> str:
    """A sentence on the difference that is the most of its interval, of those that decide."""
    some = known[~known["verdict"].map(marks.status).isin(marks.BLANK)]
    if some.empty:
        return "No record here decides on any of them."
    half = (some["high"] - some["low"]) / 2
    share = (some["mean"].abs() / half.where(half > 0)).fillna(0)
    clearest = ablation.words(some.iloc[[share.argmax()]], said)[0]
    return f"{'The clearest' if len(known) > 1 else 'It is this'}: {clearest}."


def _of_row(of_variant, means, row):
    line = means.loc[[row]]
    return of_variant.said(row), cells(line)[0], number(line["paper"].iloc[0])


def _differences(of_variant, effects, row):
    """What is compared with a row, each as the cells of a line; one line of dashes of none."""
    lines = [
        _difference(contrast.name, line, effect)
        for contrast, (_, line), effect in zip(
            of_variant.contrasts, effects.iterrows(), every(effects), strict=True
        )
        if contrast.row == row
    ]
    return lines or [(DASH,) * 6]


def _difference(name, line: pd.Series, effect: Estimate):
    paper = claimed(line["paper"], line["expects"])
    if not effect.seeds:
        return name, DASH, paper, DASH, DASH, DASH
    of_images = [line.get(end, np.nan) for end in ("image_low", "image_high")]
    intervals = [span(*ends) for ends in (effect[1:3], of_images)]
    return name, number(effect.mean, "+"), paper, *intervals, marks.marked(line["verdict"])


def claimed(paper: float, expects: str) -> str:
    """What the paper prints of a difference, and what it claims: `+0.8, a gain`."""
    said = [number(paper, "+"), ablation.CLAIMS.get(expects, DASH)]
    return ", ".join(part for part in said if part != DASH) or DASH


def span(low: float, high: float) -> str:
    """An interval of differences; a dash where there is none."""
    return f"{number(low, '+')} to {number(high, '+')}" if np.isfinite(low) else DASH


def links(of_variant: Results, row: str) -> str:
    """Links to the records of a row by their seeds, as HTML."""
    runs = [run for run, record in of_variant.pairs if record and run.row == row]
    links = [
        f'<a href="../results/runs/{escape(run.scale)}/{run.evaluation_id}.json">{run.seed}</a>'
        for run in runs
    ]
    return f"seed {', '.join(links)}" if links else DASH
