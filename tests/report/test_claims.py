"""The file of claims: what it must have, and that a slip in it is refused by name."""

import re

import pytest
import yaml

from p2s.report import claims
from p2s.report.claims import Compared, Stated
from p2s.report.tables import ablation
from p2s.study.project import Project
from p2s.study.study import Study
from tests.support import ROOT, fakes

STUDY = Study.load(Project.at(ROOT), "gated")
TEXT = yaml.safe_load((ROOT / "experiments" / claims.FILE).read_text())
PRODUCT = {"kind": "contrast", "experiment": "product", "contrast": "P(C|O) P(O): product"}
FUSED = {"kind": "product", "experiment": "fusion", "row": "CascadeRCNN-GFL"}
P_OBJECT = {"kind": "numbers", "quantity": "calibrated", "row": "RetinaNet", "than": "GFL"}
TIMES = {
    "kind": "speed",
    "bench": "rows_table1",
    "row": {"way": "GFL"},
    "than": {"way": "ATSS"},
    "expects": "faster",
}
COUNTED = {
    **TIMES,
    "bench": "classes",
    "row": {"detector": "GFL", "count": 80},
    "than": {"detector": "GFL", "count": 365},
}
SLIPS = [  # a test, and what is told of it
    (PRODUCT | {"experiment": "table12"}, "experiment in new: 'table12'; valid: bounds, cal"),
    (PRODUCT | {"contrast": "gain"}, r"contrast in new: 'gain'; valid: P\(C|O\)"),
    (PRODUCT | {"variant": "longer"}, "variant in new: 'longer'; valid: as trained"),
    (P_OBJECT | {"experiment": "table1"}, "measure of table1 in new: 'calibration'; valid: "),
    (P_OBJECT | {"experiment": "posterior"}, "measure of posterior in new: 'calibration'"),
    (P_OBJECT | {"experiment": "calibration", "row": "FCOS"}, "row in new: 'FCOS'; valid: F"),
    (FUSED | {"experiment": "table5"}, "measure of table5 in new: 'fusion'; valid: "),
    (FUSED | {"row": "FCOS"}, "row in new: 'FCOS'; valid: CascadeRCNN-CenterNet"),
    (TIMES | {"bench": "rows_table12"}, "bench in new: 'rows_table12'; valid: detectors"),
    (TIMES | {"row": {"way": "FCOS"}}, "way in new: 'FCOS'; valid: FasterRCNN-RPN"),
    (TIMES | {"row": {"detector": "GFL"}}, r"row in new: \['detector'\] \(valid: \['way'\]\)"),
    (COUNTED | {"row": {"detector": "GFL"}}, r"valid: \['count', 'detector'\]"),
    (COUNTED | {"than": {"detector": "SSD", "count": 80}}, "detector in new: 'SSD'; valid: "),
    ({"kind": "equation", "name": "bounds"}, "equation in new: 'bounds'; valid: joint sums"),
]


def stated(test, others=TEXT["claims"]):
    """All claims, and one more with a single test."""
    new = {"id": "new", "says": "what", "place": "where", "tests": [test]}
    return Stated.model_validate({"claims": [*others, new], "findings": TEXT["findings"]})


def test_the_papers_claims_are_many_and_every_kind_of_test_is_used():
    known = claims.load(STUDY)
    assert len(known.claims) >= 40 and len(known.findings) >= 6
    kinds = {test.kind for claim in known.claims for test in claim.tests}
    assert kinds == {"contrast", "numbers", "speed", "equation"}
    places = " ".join(claim.place for claim in known.claims)
    tables = {f"{number}" for number in range(1, 12)}
    assert tables <= {*re.findall(r"\d+", " ".join(re.findall(r"Tables? ([\d, and]+)", places)))}
    assert all(f"App. {letter}" in places for letter in "ACDE")


@pytest.mark.parametrize("good", [PRODUCT, FUSED, TIMES, COUNTED])
def test_a_test_of_what_exists_is_accepted(good):
    claims.check(stated(good), STUDY)


@pytest.mark.parametrize(("slip", "told"), SLIPS)
def test_a_test_of_what_does_not_exist_is_refused(slip, told):
    with pytest.raises(ValueError, match=told):
        claims.check(stated(slip), STUDY)
    finding = {"id": "new", "asks": "what?", "tests": [slip]}
    both = Stated.model_validate({"claims": TEXT["claims"], "findings": [finding]})
    with pytest.raises(ValueError, match=told):
        claims.check(both, STUDY)


def test_a_claim_without_a_test_is_refused():
    without = {"id": "new", "says": "what", "place": "where", "tests": []}
    with pytest.raises(ValueError, match=r"claims.0.tests\s.+at least 1 item"):
        Stated.model_validate({"claims": [without]})
    with pytest.raises(ValueError, match="tests.0.kind|does not match any|discriminator"):
        stated({"kind": "opinion"})


def test_a_contrast_that_claims_nothing_needs_a_direction():
    silent = {"kind": "contrast", "experiment": "table5"}
    silent |= {"contrast": "CascadeRCNN-RPN, released score: released"}
    with pytest.raises(ValueError, match="new: .*released: expects: missing"):
        claims.check(stated(silent), STUDY)
    claims.check(stated(silent | {"expects": "gain"}), STUDY)


@pytest.mark.parametrize("table", claims.TABLES)
def test_a_contrast_of_a_table_that_no_claim_tests_is_refused(table):
    others = [one for one in TEXT["claims"] if table not in str(one["tests"])]
    with pytest.raises(ValueError, match=f"no claim tests .*{table}: "):
        claims.check(stated(PRODUCT, others), STUDY)


def test_a_size_is_that_of_the_table_of_differences():
    for name in ("table6", "bounds"):
        effects = ablation.effects(fakes.results(Project.at(ROOT), name, "gated").main)
        for line in effects.itertuples():
            test = Compared(kind="contrast", experiment=name, contrast=line.contrast)
            assert claims.size(test, STUDY) == pytest.approx(line.paper, nan_ok=True)


def test_equal_ids_are_refused_of_claims_and_findings_alike():
    claim, finding = TEXT["claims"][0], TEXT["findings"][0]
    with pytest.raises(ValueError, match=f"named twice: {claim['id']}"):
        Stated.model_validate({"claims": [claim, claim]})
    with pytest.raises(ValueError, match=f"named twice: {claim['id']}"):
        Stated.model_validate({"claims": [claim], "findings": [finding | {"id": claim["id"]}]})


def test_a_slip_names_the_file(tmp_path):
    (tmp_path / "experiments").mkdir()
    path = tmp_path / "experiments" / claims.FILE
    path.write_text(yaml.safe_dump({"claims": TEXT["claims"][:1]}))
    project = Project(tmp_path, tmp_path)
    study = Study(project, "gated", STUDY.scales, STUDY.experiments)
    with pytest.raises(ValueError, match=f"{path}: no claim tests highway: "):
        claims.load(study)
    path.unlink()
    assert claims.load(study) is None
