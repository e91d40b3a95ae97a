"""The ledger: what came of every claim of the paper, and what the study found besides, by scale."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from p2s.report import claims
from p2s.report.answers import MODEL, RECORDS, SCALES, Answer, Answers
from p2s.report.claims import Claim, Finding, Proved, Stated, Timed
from p2s.report.intervals import DASH, Estimate, number
from p2s.report.products import Products, bullets, starred
from p2s.report.tables import ratios
from p2s.report.tables.ablation import CLAIMS
from p2s.report.tables.estimates import csv
from p2s.report.verdicts import (
    NOT_COMPARABLE,
    OPPOSITE,
    OTHER_SIZE,
    PUBLISHED,
    UNSEEN,
    UNTESTED,
)
from p2s.study.project import Project
from p2s.study.study import Study

# The first of these that one of its tests came to is a claim's own.
STATUSES = (OPPOSITE, UNTESTED, NOT_COMPARABLE, UNSEEN, OTHER_SIZE, PUBLISHED)
FOUND = {PUBLISHED: "more", OTHER_SIZE: "more", OPPOSITE: "less"}  # of findings; others the same
SHOWN = {PUBLISHED: "holds", OPPOSITE: "does not hold"}  # of equations
COLUMNS = (
    *("list", "id", "test", "scale", "expects", "paper", "tolerance", "unit"),
    *(*Estimate._fields, "interval_low", "interval_high", "resolves", "status", "note"),
)
TALLY = """\
## How many of each kind, table by table

Each test of a claim once; those of a claim that is tested in several tables stand in each."""
EXAMINED = "examined.ipynb"  # on whose page a claim is examined, by the claim's id
NOTE = """\
Made from experiments/claims.yaml and the records by `p2s study report`; do not edit. Every test
with its numbers: [claims.csv](claims.csv).
"""
RULE = """\
A claim has one or more tests, and at each scale the status of the worst of them, in the order of
the table below. In brackets: how many of several came out so, and half of the interval (AP, or %),
which an effect must exceed to be seen by itself; among all claims of a table it must be larger.

- *equations* are computed; the *scale model* has a gate for its precursors, scale `gated`;
  *photographs* are real, of scale `highway`; *speed* is of one CPU, as ratios of times; *released*
  are released weights on COCO.
- A size is as published if the interval holds the paper's difference, or is within ±0.4 AP where
  the paper has none; a ratio of times if it is within 10 % of the paper's.
- *Untested* is a claim of which some test lacks a record of a seed."""
REASONS = "Not comparable, as a point of the gate is missed or a row has not learnt:"
FINDINGS = """\
Asked besides, and not by the paper. *More* and *less* say of the first of two rows what is seen of
it against the second, by the rule of claims; nothing is expected."""


@dataclass(frozen=True, eq=False)
class Ledger:
    """The claims of a project and what its records answer."""

    stated: Stated
    answers: Answers

    @classmethod
    def of(cls, study: Study) -> "Ledger | None":
        """That of a study; None without a file of claims."""
        stated = claims.load(study)
        return cls(stated, Answers(study)) if stated else None

    @classmethod
    def at(cls, root: str) -> "Ledger":
        """That of the project that holds `root`."""
        project = Project.at(root)
        ledger = cls.of(Study.load(project, RECORDS[MODEL]))
        if ledger is None:
            raise ValueError(f"{project.experiments}: no {claims.FILE}")
        return ledger

    @cached_property
    def frame(self) -> pd.DataFrame:
        """Every test of claims and findings, a line a scale: COLUMNS."""
        lines = [
            (kind, one.id, test.words, *_cells(answer, kind, test))
            for kind, every in (("claim", self.stated.claims), ("finding", self.stated.findings))
            for one in every
            for test in one.tests
            for answer in self.answers.of(_neutral(test) if kind == "finding" else test)
        ]
        return pd.DataFrame(lines, columns=[*COLUMNS])

    @cached_property
    def _of_claims(self):
        return self.frame[self.frame["list"] == "claim"]

    @cached_property
    def statuses(self) -> pd.DataFrame:
        """Of each claim by id the status at each of SCALES; None where it has no test there."""
        worst = self._of_claims.groupby(["id", "scale"])["status"].agg(_worst).unstack()
        ids = [claim.id for claim in self.stated.claims]
        return worst.reindex(index=ids, columns=[*SCALES]).replace({np.nan: None})

    def counts(self) -> pd.DataFrame:
        """How many claims have each status, by scale; a dash is none."""
        table = self.statuses.apply(lambda column: column.value_counts()).reindex(STATUSES)
        text = table.map(lambda count: DASH if np.isnan(count) else f"{count:.0f}")
        return text.rename_axis(index=None, columns=None)

    def claimed(self, folder: str = "") -> str:
        """The claims as a table in Markdown; `folder` is that of the notebooks they link to."""
        lines = [
            (starred(claim.says), claim.place, self.expected(claim), self.came(claim.id), links)
            for claim in self.stated.claims
            for links in [self._links(claim, folder) + self._examination(claim, folder)]
        ]
        return _grid(lines, ("the paper", "where", "claimed", "here", "page"))

    def tally(self) -> pd.DataFrame:
        """How many tests of claims have each status, a line a table, bench or set of equations."""
        lines = self._of_claims.drop_duplicates(["test", "expects", "scale"])
        places = lines["test"].map(lambda words: _place(self._tests[words]))
        counts = pd.crosstab(places, lines["status"]).reindex(places.unique())
        counts = counts.reindex(columns=[*STATUSES], fill_value=0)
        return counts.assign(all=counts.sum(axis=1)).rename_axis(index=None, columns=None)

    def reasons(self) -> str:
        """Why claims' tests are not comparable, as a list in Markdown; empty if all are."""
        lines = self._of_claims.query("status == @NOT_COMPARABLE")
        counts = lines.groupby(["scale", "note"], sort=False).size()
        return bullets([f"{of}, {count} tests: {note}" for (of, note), count in counts.items()])

    def found(self, folder: str = "") -> str:
        """The findings as a table in Markdown, a line a test and scale that has been tested."""
        asks = {one.id: (one.asks, self._links(one, folder)) for one in self.stated.findings}
        frame = self.frame[self.frame["list"] == "finding"]
        lines, before = [], ""
        for line in frame.itertuples():
            asked, links = asks[line.id] if line.id != before else ("", "")
            here, records = f"{line.scale}: {_measured(line)}", self._records(line, folder)
            lines.append((asked, line.test, here, records, links))
            before = line.id
        return _grid(lines, ("asked", "test", "here", "records", "page"))

    @property
    def opposite(self) -> pd.DataFrame:
        """The lines of claims' tests that came out opposite at a scale with a gate."""
        return self._against([MODEL, "photographs"])

    def examined(self) -> list[str]:
        """The ids of the claims that have such a test."""
        return [*self.opposite["id"].unique()]

    def slower(self) -> Iterator[tuple[str, pd.DataFrame]]:
        """Of each time that came out opposite both rows by their parts, in milliseconds."""
        for words in self._against(["speed"])["test"].unique():
            rows = self.answers.rows(self._tests[words])
            yield f"**{words}**, milliseconds:", ratios.by_part(*rows)

    def _against(self, scales):
        lines = self._of_claims.query("status == @OPPOSITE")
        return lines[lines["scale"].isin(scales)]

    def came(self, name: str) -> str:
        """What came of a claim, scale by scale."""
        lines = self._of_claims.query("id == @name")
        scales = [scale for scale in SCALES if scale in {*lines["scale"]}]
        return "; ".join(f"{one}: {_told(lines[lines['scale'] == one])}" for one in scales)

    def expected(self, claim: Claim) -> str:
        """Direction and size that a claim's tests expect, in words."""
        lines = self._of_claims.query("id == @claim.id")
        said = []
        for expects, some in lines.groupby("expects", sort=False):
            sizes = some["paper"].dropna()
            words = [CLAIMS.get(expects, expects), _range(sizes, some["unit"].iloc[0])]
            said.append(" ".join(filter(None, words)))
        return ", ".join(said)

    def _examination(self, claim, folder) -> str:
        """A link to the page on which it is examined, if it is."""
        is_examined = claim.id in {*self.opposite["id"]}
        return f", [examined]({folder}{EXAMINED}#{claim.id})" if is_examined else ""

    def _records(self, line, folder) -> str:
        """Links to the records behind a line by their seeds, row after row."""
        at = f"{folder.removesuffix('notebooks/') or '../'}results/runs/"
        of_rows = [
            ", ".join(f"[{one.seed}]({at}{one.scale}/{one.id}.json)" for one in records)
            for records in self.answers.records(self._tests[line.test], line.scale)
        ]
        return "; ".join(filter(None, of_rows)) or DASH

    @cached_property
    def _tests(self) -> dict[str, claims.Test]:
        """Every test by its words."""
        stated = (*self.stated.claims, *self.stated.findings)
        return {test.words: test for one in stated for test in one.tests}

    def _links(self, stated: Claim | Finding, folder) -> str:
        """Links to the notebooks that show a claim's tests."""
        pages = dict.fromkeys(self._page(test) for test in stated.tests)
        return ", ".join(f"[{page.removesuffix('.ipynb')}]({folder}{page})" for page in pages)

    def _page(self, test):
        if isinstance(test, Proved):
            return "01_bounds.ipynb"
        if isinstance(test, Timed):
            return "performance.ipynb"
        return self.answers.study.experiments[test.experiment].notebook


def products(study: Study) -> Products:
    """The ledger as a page and as a table; nothing without claims."""
    ledger = Ledger.of(study)
    if ledger is None:
        return Products()
    folder = "../../notebooks/"
    parts = ["# What came of the paper's claims", RULE, ledger.counts().to_markdown()]
    parts += ["## The claims", ledger.claimed(folder)]
    parts += [REASONS, ledger.reasons()] if ledger.reasons() else []
    parts += [TALLY, ledger.tally().replace(0, DASH).to_markdown()]
    parts += ["## What the study found that the paper does not say", FINDINGS]
    parts += [ledger.found(folder), NOTE]
    tables = {"": csv(ledger.frame), "tally": csv(ledger.tally().reset_index(names="table"))}
    return Products(tables=tables, pages={"": "\n\n".join(parts)})


def _place(test):
    """Where a test is asked: an experiment or a bench."""
    if isinstance(test, Proved):
        return "equations"
    return test.bench if isinstance(test, Timed) else test.experiment


def _neutral(test):
    """A test that expects a gain, so that its verdict tells the sign."""
    return test if isinstance(test, Proved) else test.model_copy(update={"expects": "gain"})


def _cells(answer: Answer, kind, test):
    """The last of COLUMNS."""
    status, claimed = answer.status, (answer.expects, answer.paper, answer.tolerance)
    if kind == "finding":
        words = SHOWN if isinstance(test, Proved) else FOUND
        status, claimed = words.get(status, status), (DASH, np.nan, "")
    return (
        *(answer.scale, *claimed, answer.unit, *answer.estimate, *answer.interval),
        *(_resolves(answer), status, answer.note),
    )


def _resolves(answer: Answer) -> float:
    """In AP or percent."""
    return 100 * answer.resolves if answer.unit == "×" else answer.resolves


def _worst(statuses: Iterable[str]) -> str:
    return min(statuses, key=STATUSES.index)


def _told(lines: pd.DataFrame) -> str:
    """The status of a claim at a scale, how many of its tests have it, the smallest effect."""
    status = _worst(lines["status"])
    said = []
    if len(lines) > 1:
        said.append(f"{(lines['status'] == status).sum()} of {len(lines)}")
    if (resolves := lines["resolves"].max()) > 0:
        said.append(f"±{number(resolves)}{' %' if lines['unit'].iloc[0] else ''}")
    return f"{status} ({', '.join(said)})" if said else status


def _measured(line) -> str:
    """The difference of a finding with its interval, and its status."""
    if not line.seeds:
        return line.status
    effect = Estimate.of(line)
    return f"{effect.text('+')}{' %' if line.unit else ''}: {line.status}"


def _range(sizes, unit) -> str:
    """The smallest and the largest of the paper's numbers."""
    if sizes.empty:
        return ""
    digits, sign = (2, "") if unit == "×" else (1, "+")
    ends = dict.fromkeys(number(value, sign, digits) for value in (sizes.min(), sizes.max()))
    return f"{unit}{' to '.join(ends)}"


def _grid(lines, columns) -> str:
    """Rows of texts as a table in Markdown; a bar in a text is none of the table's."""
    frame = pd.DataFrame(lines, columns=[*columns]).map(lambda text: text.replace("|", r"\|"))
    return frame.to_markdown(index=False, disable_numparse=True)
