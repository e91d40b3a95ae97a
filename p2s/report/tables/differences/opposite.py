"""A test that came out opposite: its two rows in the records, and where they differ otherwise."""

import math
from typing import NamedTuple

import pandas as pd

from p2s.report import claims
from p2s.report.claims import Claim, Compared, Fused, Quantified
from p2s.report.intervals import DASH, Estimate, estimate, number
from p2s.report.results import Results
from p2s.report.tables import summary
from p2s.report.tables.differences import parts
from p2s.report.tables.judged import replicates
from p2s.report.verdicts import over_images
from p2s.spec.changes import leaves
from p2s.study.experiments import Contrast

NONE = (math.nan, math.nan)  # an interval
FEW = 3  # classes at either end
COLUMNS = (
    *("test", "row", "over", "difference", "over seeds", "over images", "the paper's"),
    *("seen from", "records"),
)


class Opposite(NamedTuple):
    """A test that came out opposite, and the Results that it was asked of."""

    claim: Claim
    test: Compared | Quantified | Fused
    line: pd.Series  # of the ledger's frame
    results: Results
    variant: str

    @property
    def name(self) -> str:
        """The test in words, with its scale."""
        return f"{self.line['scale']}: {self.test.words}"

    @property
    def effect(self) -> Estimate:
        """The difference over seeds."""
        return Estimate(*(self.line[name] for name in Estimate._fields))

    @property
    def of_variant(self) -> Results:
        """The Results of the variant alone."""
        return self.results.only(self.variant)

    @property
    def contrast(self) -> Contrast | None:
        """What is compared, with what the test expects of it; None of a quantity."""
        if not isinstance(self.test, Compared):
            return None
        known = {claims.named(one): one for one in self.results.experiment.contrasts}
        return known[self.test.contrast].model_copy(update={"expects": self.line["expects"]})

    @property
    def rows(self) -> tuple[str, ...]:
        """The row, and the one that it is held against, if any."""
        return (self.contrast or self.test).rows[:2]


def cells(one: Opposite) -> tuple[str, ...]:
    """The rows and their difference for people: COLUMNS, of which the last is HTML."""
    lines = one.of_variant.of(one.contrast.metric if one.contrast else "AP")
    means = [estimate(lines.loc[lines["row"] == row, "value"]).text() for row in one.rows]
    rows = [f"{row}, {mean}" for row, mean in zip(one.rows, means, strict=True)]
    rows += [DASH] * (2 - len(rows))
    images = over_images(replicates(one.of_variant, one.contrast)) if one.contrast else NONE
    unit = " %" if one.line["unit"] else ""
    links = "; ".join(summary.links(one.of_variant, of) for of in one.rows)
    return (
        *(one.name, *rows, f"{number(one.effect.mean, '+')}{unit}"),
        *(
            summary.span(*one.effect[1:3]),
            summary.span(*images),
            summary.claimed(one.line["paper"], one.line["expects"]),
        ),
        *(number(one.line["resolves"]), links),
    )


def every_part(one: Opposite, lab: Results) -> pd.DataFrame:
    """All parts of the difference that the records hold: `parts.COLUMNS`; `lab` is of fusion."""
    if isinstance(one.test, Fused):
        return parts.of_lab(one.of_variant, one.test.row, one.test.expects)
    if isinstance(one.test, Quantified):
        quantity, expects = one.test.quantity, one.test.expects
        return parts.by_quantity(one.of_variant, one.rows, quantity, expects)
    of_variants = parts.by_variant(one.results, one.contrast)
    of_records = parts.by_record(one.of_variant, one.contrast)
    return pd.concat([of_variants, of_records, parts.by_power(one.of_variant, one.contrast, lab)])


def ends(of_classes: pd.DataFrame) -> tuple[str, str, str]:
    """The classes with most and with least, and of how many of all the mean is above 0."""
    ordered = of_classes.sort_values("mean", ascending=False)
    told = [f"{line.part} {number(line.mean, '+')}" for line in ordered.itertuples()]
    above = f"{(ordered['mean'] > 0).sum()} of {len(ordered)}"
    return ", ".join(told[:FEW]), ", ".join(told[-FEW:]), above


def differing(one: Opposite) -> str:
    """The settings that differ between both rows, in a sentence."""
    specs = {run.row: run.spec.model_dump(mode="json") for run in one.of_variant.runs}
    first, second = (dict(leaves(specs[row])) for row in one.rows)
    names = [name for name in {**first, **second} if first.get(name) != second.get(name)]
    told = [f"{name} ({second.get(name, DASH)} → {first.get(name, DASH)})" for name in names]
    return f"The rows differ in {'; '.join(told)}."
