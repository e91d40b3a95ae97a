"""Marks: what became of a claim, in its words on a ground of its kind, as pages show it.

The words tell; colour and sign only help to find them.
"""

import re
from html import escape

import pandas as pd
from pandas.io.formats.style import Styler

from p2s.report import verdicts

KINDS = {  # of page/style.css
    verdicts.PUBLISHED: "good",
    **dict.fromkeys(("holds", "seen", "met", "reached"), "good"),
    verdicts.OTHER_SIZE: "partly",
    verdicts.UNSEEN: "unseen",
    "undecided": "unseen",
    verdicts.OPPOSITE: "against",
    **dict.fromkeys(("does not hold", "missed"), "against"),
    verdicts.NOT_COMPARABLE: "blank",
    **dict.fromkeys(("not started", "not measured", verdicts.UNTESTED), "blank"),
}
BLANK = {said for said, kind in KINDS.items() if kind == "blank"}  # nothing is known by these
LINK = re.compile(r"\[([^\]]+)\]\(([\w./-]+)\)")


def status(said: str) -> str:
    """The status alone of a verdict that has a note: `no difference seen (of 1.9 or more)`."""
    return said.partition(" (")[0]


def marked(said: str) -> str:
    """A verdict as HTML, its status marked; a text that is none as it is."""
    word = status(said)
    if word not in KINDS:
        return escape(said)
    return f'<span class="mark {KINDS[word]}">{word}</span>{escape(said[len(word) :])}'


def count(number: str, of: str) -> str:
    """How many have a status as HTML, marked as that is."""
    return f'<span class="mark {KINDS[of]} count">{escape(number)}</span>'


def number(text: str, kind: str) -> str:
    """A number as HTML, marked as one of KINDS; one of none as it is."""
    return f'<span class="mark {kind}">{escape(text)}</span>' if kind else escape(text)


def table(frame: pd.DataFrame, column: str) -> Styler:
    """A table of texts without its index, of which a column is marked, bold in Markdown or not."""
    shown = frame.assign(**{column: [marked(said.strip("*")) for said in frame[column]]})
    plain = [name for name in frame.columns if name != column]
    return shown.style.hide().format(escape="html", subset=plain)


def linked(markdown: str) -> str:
    """A line of Markdown as HTML, of which links alone are obeyed."""
    return LINK.sub(r'<a href="\2">\1</a>', escape(markdown))
