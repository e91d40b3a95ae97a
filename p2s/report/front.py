"""The front page's findings: what came out, in words; the same lines stand in the README.

Of the scale model whose precursors passed a gate, as in the ledger: elsewhere networks had not
learnt. What has no record there is untested.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from p2s.report import marks
from p2s.report.answers import quantity
from p2s.report.claims import Quantified
from p2s.report.intervals import DASH, number
from p2s.report.ledger import STATUSES, Ledger
from p2s.report.results import NEWEST, Results, results
from p2s.report.tables import judged
from p2s.report.tables.ablation import CLAIMS
from p2s.report.tables.estimates import every
from p2s.report.verdicts import UNTESTED
from p2s.study.study import Study

BEGIN, END = "<!-- results -->\n", "<!-- /results -->"
WORDS = "_words"  # the end of the name of a table of sentences
HEAD = "| question | the paper | here | in full |\n|---|---|---|---|\n"


class Line(NamedTuple):
    """A question, and which contrasts of which experiments' first variants answer it."""

    question: str
    asked: Mapping[str, str]  # by experiment a pattern of their names, see `ablation.named`


class Finding(NamedTuple):
    """The answer to a question."""

    question: str
    paper: str  # what it claims: a difference, the ends of several, or words
    here: str  # a difference with its interval, or the ends of several
    verdicts: tuple[str, ...]  # on the paper's claim; of several how many came out how
    tables: tuple[str, ...]  # that have all of it, an experiment each


LINES = (
    Line(
        "Do probabilistic detectors beat one-stage ones?",
        {"table1": "over (?:RetinaNet|GFL|ATSS|CenterNet)"},
    ),
    Line(
        "And those with an RPN or a stronger proposal network?",
        {"table1": "over .*RCNN-RPN$", "table11": "over"},
    ),
    Line("Does RetinaNet's loss improve an RPN?", {"table4": "RetinaNet's loss"}),
    Line("Does the product help an RPN?", {"table5": "RPN w. prob.: product"}),
    Line("Does the product help CenterNet?", {"table5": "Net w. prob.: product"}),
    Line("Does CenterNet2 lose less with few proposals?", {"table6": "over CenterNet2's"}),
    Line(
        "Does CenterNet2 beat CascadeRCNN on 1203 and on 365 uneven classes?",
        dict.fromkeys(("table7", "table8"), "^CenterNet2: over CascadeRCNN"),
    ),
    Line(
        "Does the federated loss beat plain sigmoids?",
        {"table9": "CenterNet2, FedLoss: over sigmoid"},
    ),
    Line("Do both bounds train better than the larger alone?", {"bounds": "^both: over max"}),
)
CALIBRATED = Quantified(
    kind="numbers",
    quantity="calibrated",
    experiment="calibration",
    row="FasterRCNN-CenterNet",
    than="FasterRCNN-RPN",
)
DUPLICATES = CALIBRATED.model_copy(update={"quantity": "calibrated but for duplicates"})
TRUE = Quantified(
    kind="numbers", quantity="true", experiment="posterior", row="CenterNet*, focal", than="RPN"
)
QUANTITIES = {  # what no contrast answers: CenterNet's P(O) beside an RPN's
    "Is a likely P(O) of CenterNet better calibrated than RPN's?": CALIBRATED,
    "And where duplicates count as right?": DUPLICATES,
    "Is it nearer to a known truth?": TRUE,
}


def filled(study: Study, text: str) -> str:
    """The README's text with the table that the committed records make between its markers.

    ValueError without markers.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"README.md: no markers {BEGIN.strip()} and {END}")
    return f"{before}{begin}{table(study)}{end}{after}"


def table(study: Study) -> str:
    """A line of Markdown a finding: what the paper says, what came out, where all of it stands.

    Below stand the addresses of the links, so that no line is long.
    """
    found = findings(study)
    pages = {_called(page): page for one in found for page in one.tables}
    rows = "".join(f"| {' | '.join(_cells(one))} |\n" for one in found)
    links = "".join(f"[{name}]: results/tables/{page}.md\n" for name, page in pages.items())
    return f"{HEAD}{rows}\n{links}"


def board(study: Study) -> Styler:
    """The findings as the front page shows them, with links to the notebooks."""
    lines = [
        (*one[:3], "<br>".join(map(marks.marked, one.verdicts)), marks.linked(_links(study, one)))
        for one in findings(study)
    ]
    columns = ["question", "the paper", "here", "so the claim", "page"]
    style = pd.DataFrame(lines, columns=columns).style.hide().set_table_attributes('class="board"')
    return style.format(escape="html", subset=columns[:3])


def claimed(ledger: Ledger) -> Styler:
    """How many of the paper's claims came out how, a column a scale."""
    counts = ledger.counts()
    for status, line in counts.iterrows():
        counts.loc[status] = [DASH if cell == DASH else marks.count(cell, status) for cell in line]
    counts.insert(0, "status", counts.index.map(marks.marked))
    return counts.style.hide()


def summary(ledger: Ledger) -> str:
    """How many claims have been tested, and how often what came out, in a sentence of Markdown."""
    statuses = ledger.statuses
    tested = statuses.where(statuses != UNTESTED).stack().dropna()
    counts = tested.value_counts().reindex([*reversed(STATUSES)]).dropna()
    came = ", ".join(f"{count:.0f} × *{status}*" for status, count in counts.items())
    claims = tested.index.get_level_values(0).nunique()
    return f"**{claims} of {len(statuses)} claims** have been tested at some scale: {came or DASH}."


def findings(study: Study) -> list[Finding]:
    """All of them, from the committed records."""
    answered = [_finding(study, line) for line in LINES]
    return answered + [_quantified(study, *asked) for asked in QUANTITIES.items()]


def _finding(study, line):
    frames = []
    for name, pattern in line.asked.items():
        frame = judged.effects(_results(study, name).main, study)
        frames.append(frame[frame["contrast"].str.contains(pattern)])
    frame, names = pd.concat(frames), (*line.asked,)
    return Finding(line.question, _published(frame), *_measured(frame), names)


def _results(study, name) -> Results:
    return results(study.at(NEWEST), name)


def _published(frame: pd.DataFrame) -> str:
    printed, claim = frame["paper"].dropna(), CLAIMS[frame["expects"].iloc[0]]
    if printed.empty:
        return f"claims {claim}"
    return f"{_ends(printed)} ({claim})" if claim == CLAIMS["none"] else _ends(printed)


def _ends(values) -> str:
    """One number, or the smallest and the largest."""
    ends = dict.fromkeys(number(value, "+") for value in (np.min(values), np.max(values)))
    return " to ".join(ends)


def _measured(frame: pd.DataFrame) -> tuple[str, tuple[str, ...]]:
    """A difference and its verdict; of several the ends and how many came out how."""
    said = frame["verdict"].where(frame["seeds"] > 0, UNTESTED)
    if len(frame) == 1:
        return every(frame)[0].text("+"), (said.iloc[0],)
    statuses = said.map(marks.status)
    measured = frame.loc[frame["seeds"] > 0, "mean"]
    counts = statuses.value_counts().items()
    told = tuple(f"{status} ({count} of {len(frame)})" for status, count in counts)
    return _ends(measured) if len(measured) else DASH, told


def _quantified(study, question, test) -> Finding:
    main = _results(study, test.experiment).main
    effect, rows = quantity(main, test), (test.row, test.than)
    said = judged.of_quantity(main, rows, effect, study) if effect.seeds else UNTESTED
    here = f"{effect.text('+')} %" if effect.seeds else DASH
    return Finding(question, "claims so", here, (said,), (f"{test.experiment}{WORDS}",))


def _called(table: str) -> str:
    """What a reader calls a table."""
    return table.removesuffix(WORDS).replace("table", "Table ")


def _cells(found: Finding) -> tuple[str, ...]:
    links = ", ".join(f"[{_called(table)}]" for table in found.tables)
    alone = len(found.verdicts) == 1  # a verdict has a note then, which is too long here
    said = marks.status(found.verdicts[0]) if alone else "; ".join(found.verdicts)
    return found.question, found.paper, f"{found.here}: {said}", links


def _links(study, found) -> str:
    """Links in Markdown to the notebooks that show a finding."""
    places = {_called(table): table.removesuffix(WORDS) for table in found.tables}
    links = [f"[{name}]({study.experiments[one].notebook})" for name, one in places.items()]
    return ", ".join(links)
