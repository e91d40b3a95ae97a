"""Claims of the paper, and findings of the study: what experiments/claims.yaml says, and its tests.

A claim is in our words and has one or more tests, each of which records, or the mathematics, answer
by themselves; a size is the paper's own, read through the rows of a contrast.
"""

import math
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, model_validator

from p2s.maths.propositions import PROPOSITIONS
from p2s.plain_yaml import read_yaml
from p2s.report.tables.ablation import named
from p2s.spec.names import NAMED
from p2s.study.benches import rows_of
from p2s.study.experiments import Contrast, Experiment, Name, Strict, refuse_unknown
from p2s.study.published import published
from p2s.study.study import Study

FILE = "claims.yaml"
TABLES = (*(f"table{number}" for number in range(1, 12)), "highway")  # every contrast is claimed
BENCHES = ("detectors", "classes", "proposals")  # besides those of experiments' rows
Direction = Literal["gain", "loss", "none"]
Quantity = Literal["calibrated", "calibrated but for duplicates", "true", "high"]  # of P(O)
MEASURES = {
    **dict.fromkeys(("calibrated", "calibrated but for duplicates"), "calibration"),
    **dict.fromkeys(("true", "high"), "posterior"),
}  # that an experiment has quantities by


class Compared(Strict):
    """A difference of two rows of an experiment, paired seed by seed: one of its contrasts."""

    kind: Literal["contrast"]
    experiment: Name
    contrast: Name  # as tables print it
    variant: Name | None = None  # None: the experiment's first
    expects: Direction | None = None  # None: what the contrast itself claims

    @property
    def words(self) -> str:
        """What is compared, as a line of a table."""
        at = f" ({self.variant})" if self.variant else ""
        return f"{self.experiment}, {self.contrast}{at}"


class Quantified(Strict):
    """How much more a row's P(O) has of a quantity than another's."""

    kind: Literal["numbers"]
    experiment: Name
    quantity: Quantity
    row: Name
    than: Name
    expects: Direction = "gain"

    @property
    def rows(self) -> tuple[str, ...]:
        """As of a contrast."""
        return self.row, self.than

    @property
    def words(self) -> str:
        """As of Compared."""
        return f"{self.experiment}, P(O) {self.quantity}, {self.row} over {self.than}"


class Fused(Strict):
    """How much AP the product has more than P(C|O) alone, in one row of a fusion lab."""

    kind: Literal["product"]
    experiment: Name
    row: Name
    expects: Direction = "gain"

    @property
    def rows(self) -> tuple[str, ...]:
        """As of a contrast."""
        return (self.row,)

    @property
    def words(self) -> str:
        """As of Compared."""
        return f"{self.experiment}, the product in {self.row}"


class Timed(Strict):
    """The time of one row of a bench over another's, whose columns are given."""

    kind: Literal["speed"]
    bench: Name
    row: dict[str, str | int]
    than: dict[str, str | int]
    expects: Literal["faster", "slower"]
    tolerance: PositiveFloat = 0.1  # of the paper's ratio, within which a size is as published

    @property
    def words(self) -> str:
        """As of Compared."""
        row, than = (" ".join(map(str, each.values())) for each in (self.row, self.than))
        return f"{self.bench}, {row} over {than}"


class Proved(Strict):
    """A proposition of the mathematics by its name."""

    kind: Literal["equation"]
    name: Name

    @property
    def words(self) -> str:
        """As of Compared."""
        return self.name


Test = Compared | Quantified | Fused | Timed | Proved
Tests = Annotated[
    tuple[Annotated[Test, Field(discriminator="kind")], ...], Field(min_length=1, strict=False)
]


class Claim(Strict):
    """What the paper says in one place, in our words, and what tests it."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]
    says: Name
    place: Name  # section, table, figure or appendix
    tests: Tests


class Finding(Strict):
    """What the study asked besides, and the records that answer."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]
    asks: Name
    tests: Tests


class Stated(Strict):
    """All of both; the file."""

    claims: Annotated[tuple[Claim, ...], Field(min_length=1, strict=False)]
    findings: Annotated[tuple[Finding, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _ids_are_unique(self):
        ids = [stated.id for stated in (*self.claims, *self.findings)]
        if twice := sorted({name for name in ids if ids.count(name) > 1}):
            raise ValueError(f"named twice: {', '.join(twice)}")
        return self


def load(study: Study) -> Stated | None:
    """The claims of a project, None if it has no such file.

    ValueError for a test of what does not exist, and for a contrast of TABLES that no claim tests.
    """
    path = study.project.experiments / FILE
    if not path.exists():
        return None
    stated: Stated = read_yaml(path, Stated)
    try:
        check(stated, study)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return stated


def check(stated: Stated, study: Study) -> None:
    """ValueError for the first slip, see `load`."""
    for claim in stated.claims:
        for test in claim.tests:
            _refuse(claim.id, test, study)
            if isinstance(test, Compared) and not (test.expects or contrast(test, study).expects):
                raise ValueError(f"{claim.id}: {test.contrast}: expects: missing, as none is there")
    for finding in stated.findings:
        for test in finding.tests:
            _refuse(finding.id, test, study)
    if left := sorted(set(_to_claim(study)) - set(_claimed(stated))):
        raise ValueError(f"no claim tests {'; '.join(': '.join(pair) for pair in left)}")


def contrast(test: Compared, study: Study) -> Contrast:
    """The contrast that a test names."""
    contrasts = {named(one): one for one in study.experiments[test.experiment].contrasts}
    return contrasts[test.contrast]


def size(test: Compared, study: Study) -> float:
    """The paper's difference of a test's rows; NaN where it does not print all of them."""
    rows = {row.name: row.paper for row in study.experiments[test.experiment].rows}
    one = contrast(test, study)
    first, second, *less = (_printed(rows[name], one.metric) for name in one.rows)
    return round(first - second - (less[0] - less[1] if less else 0.0), 2)


def _printed(place, metric) -> float:
    column = place.columns.get(metric) if place else None
    value = published(place.table, place.row, column) if column else None
    return math.nan if value is None else value


def _claimed(stated):
    compared = (test for claim in stated.claims for test in claim.tests)
    return ((t.experiment, t.contrast) for t in compared if isinstance(t, Compared))


def _to_claim(study) -> Iterator[tuple[str, str]]:
    """Experiment and contrast of all that TABLES claim."""
    for name in filter(study.experiments.__contains__, TABLES):
        for one in study.experiments[name].contrasts:
            if one.expects:
                yield name, named(one)


def _refuse(place, test, study):
    """ValueError if a test names what does not exist."""
    if isinstance(test, Proved):
        refuse_unknown(f"equation in {place}:", [test.name], PROPOSITIONS)
    elif isinstance(test, Timed):
        _refuse_rows(place, test, study)
    else:
        refuse_unknown(f"experiment in {place}:", [test.experiment], study.experiments)
        experiment = study.experiments[test.experiment]
        refuse = _refuse_contrast if isinstance(test, Compared) else _refuse_measured
        refuse(place, test, experiment)


def _refuse_contrast(place, test: Compared, experiment: Experiment):
    contrasts = [named(one) for one in experiment.contrasts]
    refuse_unknown(f"contrast in {place}:", [test.contrast], contrasts)
    variants = [variant.name for variant in experiment.variants]
    refuse_unknown(f"variant in {place}:", [test.variant] if test.variant else [], variants)


def _refuse_measured(place, test: Quantified | Fused, experiment: Experiment):
    measure = MEASURES[test.quantity] if isinstance(test, Quantified) else "fusion"
    refuse_unknown(f"measure of {experiment.name} in {place}:", [measure], experiment.measures)
    refuse_unknown(f"row in {place}:", test.rows, [row.name for row in experiment.rows])


def _refuse_rows(place, test: Timed, study):
    of_rows = {rows_of(name): experiment for name, experiment in study.experiments.items()}
    refuse_unknown(f"bench in {place}:", [test.bench], [*BENCHES, *of_rows])
    by_row = test.bench in of_rows
    column = "way" if by_row else "detector"
    valid = [row.name for row in of_rows[test.bench].rows] if by_row else NAMED
    columns = {column} if by_row or test.bench == "detectors" else {column, "count"}
    for row in (test.row, test.than):
        if row.keys() != columns:
            raise ValueError(f"row in {place}: {[*row]} (valid: {sorted(columns)})")
        refuse_unknown(f"{column} in {place}:", [str(row[column])], valid)
