"""Examined: what came out opposite to a claim at a scale with a gate, and what turns it.

Everything is computed from records; what they do not hold is said.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd
from IPython.display import Markdown, display
from pandas.io.formats.style import Styler

from p2s.report import marks
from p2s.report.figures.parts import forest
from p2s.report.intervals import DASH
from p2s.report.ledger import EXAMINED, Ledger
from p2s.report.products import bullets, starred
from p2s.report.tables.differences import opposite, parts, roads
from p2s.report.tables.differences.opposite import Opposite
from p2s.report.tables.differences.parts import CLAIMED
from p2s.report.tables.estimates import cells
from p2s.spec.parameters import require
from p2s.study.experiments import refuse_unknown

NOTHING = "No claim has come out opposite at a scale with a gate, so there is nothing to examine."
MARKED = {CLAIMED: "good", parts.AGAINST: "against"}  # kinds of marks, by the side of a number
LISTED = 6  # parts in a sentence


@dataclass(frozen=True, eq=False)
class Examined:
    """All that is opposite in a ledger, or what is of one claim; each method displays a part."""

    ledger: Ledger
    claim: str = ""  # its id

    @classmethod
    def at(cls, root: str, claim: str = "") -> "Examined":
        """That of the project that holds `root`; ValueError for a claim that does not exist."""
        require(str, claim=claim)
        ledger = Ledger.at(root)
        refuse_unknown("claim", [claim] if claim else [], [one.id for one in ledger.stated.claims])
        return cls(ledger, claim)

    @cached_property
    def opposites(self) -> list[Opposite]:
        """Every test that came out opposite, in the order of the claims."""
        stated, lines = {one.id: one for one in self.ledger.stated.claims}, self.ledger.opposite
        kept = lines[lines["id"] == self.claim] if self.claim else lines
        return [self._opposite(stated[line["id"]], line) for _, line in kept.iterrows()]

    @cached_property
    def lines(self) -> pd.DataFrame:
        """Every part of every difference: `parts.COLUMNS` and the test's name."""
        nothing = pd.DataFrame(columns=[*parts.COLUMNS, "test"])
        once = {one.name: one for one in self.opposites}  # a test may be of two claims
        made = [self._parts(one).assign(test=name) for name, one in once.items()]
        return pd.concat(made, ignore_index=True) if made else nothing

    def summary(self) -> None:
        """What was claimed and what came out, what turns it, and all parts as a picture."""
        if not self.opposites:
            display(Markdown(self._nothing()))
            return
        told = dict.fromkeys(one.claim.id for one in self.opposites)
        display(Markdown(bullets([self._claimed(name) for name in told])))
        display(Markdown(bullets([self._turns(one) for one in self.opposites])))
        if self.claim:
            display(forest(self.lines))

    def differences(self) -> None:
        """The rows behind each test, and their difference with its intervals."""
        frame = pd.DataFrame(map(opposite.cells, self.opposites), columns=[*opposite.COLUMNS])
        texts = [*opposite.COLUMNS[:-1]]
        self._show(frame.style.hide().format(escape="html", subset=texts))

    def group(self, name: str) -> None:
        """A group of parts: a line a test, a column a part; and which tests have none of it."""
        some = self._of(name)
        self._show(grid(some) if len(some) else None)
        self._tell_lacking(some, name == "probability")

    def classes(self) -> None:
        """The classes at either end of each difference."""
        some = self._of("class")
        by_test = {test: opposite.ends(lines) for test, lines in some.groupby("test", sort=False)}
        columns = ["most", "least", "above 0"]
        frame = pd.DataFrame.from_dict(by_test, orient="index", columns=columns)
        self._show(frame if len(frame) else None)
        self._tell_lacking(some)

    def steps(self) -> None:
        """The road of single steps between the rows of each test, or in what they differ."""
        for one in filter(lambda one: one.contrast, self.opposites):
            if road := self._road(one):
                display(
                    Markdown(f"**{one.name}**"), roads.readable(road.table(one.line["expects"]))
                )
            else:
                told = f"no road of several steps lies between them. {opposite.differing(one)}"
                display(Markdown(f"**{one.name}**: {told}"))

    def _opposite(self, claim, line):
        [test] = [test for test in claim.tests if test.words == line["test"]]
        of = self.ledger.answers.results(test.experiment, line["scale"])
        variant = getattr(test, "variant", None) or of.runs[0].variant
        return Opposite(claim, test, line, of, variant)

    def _parts(self, one):
        return opposite.every_part(one, self.ledger.answers.results("fusion", one.line["scale"]))

    def _of(self, group):
        return self.lines[self.lines["group"] == group]

    def _show(self, shown):
        if self.opposites and shown is not None:
            display(shown)

    def _tell_lacking(self, some, of_quantities=False):
        """Which of the tests that could have a group have nothing of it in their records."""
        asked = [one.name for one in self.opposites if (one.contrast is None) == of_quantities]
        if without := [name for name in asked if name not in {*some["test"]}]:
            display(Markdown(f"The records do not hold this of: {'; '.join(without)}."))
        elif self.opposites and not asked:
            display(Markdown("Nothing that is opposite is about this."))

    def _road(self, one):
        """Its own experiment's, or that of one whose rows are steps."""
        answers, scale = self.ledger.answers, one.line["scale"]
        experiments = answers.study.experiments.items()
        drawn = [name for name, of in experiments if of.picture == "waterfall"]
        others = (answers.results(name, scale) for name in drawn if name != one.results.name)
        return roads.road(one.of_variant, one.contrast, [one.results, *others])

    def _turns(self, one):
        """In which parts a difference has the paper's sign, and without which steps."""
        some = self.lines[(self.lines["test"] == one.name) & (self.lines["side"] == CLAIMED)]
        told = [
            f"by {name}: {_listed(of['part'])}" for name, of in some.groupby("group", sort=False)
        ]
        if one.contrast and (road := self._road(one)):
            steps = road.turning(one.line["expects"])
            told += [f"without the step: {_listed(steps)}"] if steps else []
        what = f"{CLAIMED} {'; '.join(told)}" if told else "nothing in the records turns it"
        return f"{one.name}, {one.effect.text('+')}: {what}."

    def _claimed(self, name):
        claim = next(one.claim for one in self.opposites if one.claim.id == name)
        page = "" if self.claim else f" [Examined]({EXAMINED}#{name})"
        said = f"claimed {self.ledger.expected(claim)}; {self.ledger.came(name)}."
        return f"**{starred(claim.says)}** ({claim.place}): {said}{page}"

    def _nothing(self):
        return f"{NOTHING} {self.ledger.came(self.claim)}" if self.claim else NOTHING


def grid(some: pd.DataFrame) -> Styler:
    """Parts of differences as a table, a line a test, marked where they take a side."""
    marked = [
        marks.number(text, MARKED.get(side, ""))
        for text, side in zip(cells(some, "+"), some["side"], strict=True)
    ]
    table = some.assign(cell=marked).pivot(index="test", columns="part", values="cell")
    table = table.loc[some["test"].unique(), some["part"].unique()].fillna(DASH)
    style = table.rename_axis(index=None, columns=None).style
    return style.format_index(escape="html").format_index(escape="html", axis="columns")


def _listed(names: Sequence[str]) -> str:
    """Some names, and how many more there are."""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join([*names][:LISTED]) + more
