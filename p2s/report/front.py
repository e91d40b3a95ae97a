"""The front page's table: what came out, in words, between two markers of the README."""

from typing import NamedTuple

import pandas as pd

from p2s.report.intervals import DASH, Estimate, number, verdict
from p2s.report.results import Results, committed_scale, results
from p2s.report.tables import calibration, posterior
from p2s.report.tables.ablation import CLAIMS
from p2s.report.tables.estimates import every
from p2s.report.tables.judged import effects
from p2s.study.study import Study

BEGIN, END = "<!-- results -->\n", "<!-- /results -->"
HEAD = "| question | the paper | here | in full |\n|---|---|---|---|\n"


class Line(NamedTuple):
    """A question, and which contrasts of an experiment's first variant answer it."""

    question: str
    experiment: str
    contrasts: str  # a pattern of their names, see `ablation.named`


LINES = (
    Line(
        "Do probabilistic detectors beat one-stage ones?",
        *("table1", "over (?:RetinaNet|GFL|ATSS|CenterNet)"),
    ),
    Line("And those with an RPN?", "table1", "over .*RCNN-RPN"),
    Line("Does RetinaNet's loss improve an RPN?", "table4", "RetinaNet's loss"),
    Line("Does the product help an RPN?", "table5", "RPN w. prob.: product"),
    Line("Does the product help CenterNet?", "table5", "Net w. prob.: product"),
    Line("Does CenterNet2 lose less with few proposals?", "table6", "over CenterNet2's"),
    Line(
        "Does CenterNet2 beat CascadeRCNN on 1203 uneven classes?",
        *("table7", "^CenterNet2: over CascadeRCNN"),
    ),
    Line("And on 365?", "table8", "^CenterNet2: over CascadeRCNN"),
    Line(
        "Does the federated loss beat plain sigmoids?",
        *("table9", "CenterNet2, FedLoss: over sigmoid"),
    ),
    Line("Does CenterNet beat stronger proposal networks?", "table11", "over"),
    Line("Do both bounds train better than the larger alone?", "bounds", "^both: over max"),
)


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
    """A line of Markdown a question: what the paper says, what came out, where all of it stands.

    Below stand the addresses of the links, so that no line is long.
    """
    answers = [*(_line(study, line) for line in LINES), *_of_p_object(study)]
    pages = {name: address for *_, name, address in answers}
    rows = "".join(f"| {' | '.join(cells)} | [{name}] |\n" for *cells, name, _ in answers)
    links = "".join(f"[{name}]: results/tables/{address}.md\n" for name, address in pages.items())
    return f"{HEAD}{rows}\n{links}"


def _line(study, line):
    answer = _results(study, line.experiment)
    frame = effects(answer.main, study)
    frame = frame[frame["contrast"].str.contains(line.contrasts)]
    name = line.experiment.replace("table", "Table ")
    return line.question, _published(frame), _measured(frame), name, line.experiment


def _results(study, name) -> Results:
    return results(study.at(committed_scale(study, name)), name)


def _published(frame: pd.DataFrame) -> str:
    printed = frame["paper"].dropna()
    if printed.empty:
        return f"claims {CLAIMS[frame['expects'].iloc[0]]}"
    if len(frame) == 1:
        return number(printed.iloc[0], "+")
    return f"{number(printed.min(), '+')} to {number(printed.max(), '+')}"


def _measured(frame: pd.DataFrame) -> str:
    """One difference with its verdict, or how many of several came out how."""
    if len(frame) > 1:
        counts = frame["verdict"].value_counts(sort=False)
        return ", ".join(f"{count} of {len(frame)}: {said}" for said, count in counts.items())
    return _said(every(frame)[0], frame["verdict"].iloc[0])


def _said(effect: Estimate, said: str, unit: str = "") -> str:
    return f"{effect.text('+')}{unit}: {said}" if effect.seeds else DASH


def _of_p_object(study):
    """Lines that no contrast answers: CenterNet's P(O) beside an RPN's."""
    ordinary, known = (_results(study, name).main for name in ("calibration", "posterior"))
    pair, likely = ("FasterRCNN-CenterNet", "FasterRCNN-RPN"), calibration.LIKELY
    alone, near = (
        calibration.lower(ordinary, *pair, probability, likely)
        for probability in ("p_object", "p_object_near")
    )
    nearer = posterior.nearer(posterior.learnt(known), "CenterNet*, focal", "RPN")
    for question, effect, page in (
        ("Is a likely P(O) of CenterNet better calibrated than RPN's?", alone, "calibration"),
        ("And where duplicates count as right?", near, "calibration"),
        ("Is it nearer to a known truth?", nearer, "posterior"),
    ):
        said = _said(effect, verdict(effect, "gain"), " %")
        yield question, "claims so", said, page, f"{page}_words"
