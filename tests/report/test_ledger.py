"""The ledger on invented records: statuses fill in by themselves, and say what the records say."""

import re
import shutil
from io import BytesIO

import pandas as pd
import pytest

from p2s.report import ledger as of_claims
from p2s.report.answers import SCALES, Answers
from p2s.report.claims import Compared, Stated
from p2s.report.ledger import Ledger
from p2s.report.products import starred
from p2s.report.results import PHOTOGRAPHS, results
from p2s.report.tables import calibration, gate
from p2s.report.tables.calibration import LIKELY
from p2s.report.verdicts import (
    NOT_COMPARABLE,
    OPPOSITE,
    OTHER_SIZE,
    PUBLISHED,
    UNSEEN,
    UNTESTED,
    VERDICTS,
)
from p2s.study import records
from p2s.study.study import Study
from tests.support import ROOT, fakes

RPN, CENTERNET = "CascadeRCNN-RPN w. prob.: product", "CascadeRCNN-CenterNet w. prob.: product"
RELEASED = "CascadeRCNN-CenterNet, released score: released"


def compared(contrast, **more):
    return {"kind": "contrast", "experiment": "table5", "contrast": contrast, **more}


FASTER = {
    "kind": "speed",
    "bench": "rows_table1",
    "expects": "faster",
    "row": {"way": "FasterRCNN-GFL"},
    "than": {"way": "GFL"},
}
CLAIMS = {  # by id, their tests
    "gain": [compared(CENTERNET)],
    "none": [compared(RPN)],
    "both": [compared(CENTERNET), compared(RPN)],
    "loss": [compared(CENTERNET, expects="loss"), compared(RELEASED, expects="gain")],
    "large": [{**compared("CenterNet2: over CascadeRCNN"), "experiment": "table8"}],
    "log-2": [{"kind": "equation", "name": "larger is within log 2"}, compared(CENTERNET)],
    "faster": [FASTER],
}
STATED = Stated.model_validate(
    {
        "claims": [
            {"id": name, "says": f"{name} | says", "place": "Sec. 6", "tests": tests}
            for name, tests in CLAIMS.items()
        ],
        "findings": [
            {"id": "found", "asks": "what?", "tests": [compared(CENTERNET), compared(RPN)]},
            {"id": "proved", "asks": "why?", "tests": [CLAIMS["log-2"][0]]},
        ],
    }
)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Tables 5 and 9 at the newest scale, and the committed measurements of speed."""
    project = fakes.project(tmp_path_factory.mktemp("project"))
    fakes.fill(project, "gated")
    shutil.copytree(ROOT / "results" / "bench", project.benches)
    return project


@pytest.fixture(scope="module")
def ledger(project):
    """The ledger of these records if nothing of the gate is missed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gate, "missed", lambda _: {})
        made = Ledger(STATED, Answers(Study.load(project, "gated")))
        assert len(made.frame)  # which it keeps
    return made


def test_statuses_are_those_of_the_records_and_of_the_worst_test(ledger):
    desk = ledger.statuses["scale model"]
    assert desk["gain"] in (PUBLISHED, OTHER_SIZE)
    assert desk["none"] == OTHER_SIZE == desk["both"]  # -.5 with an RPN, where the paper has none
    assert desk["loss"] == OPPOSITE and desk["large"] == UNTESTED
    assert ledger.statuses["equations"].dropna().to_dict() == {"log-2": PUBLISHED}
    assert ledger.statuses["speed"].dropna().to_dict() == {"faster": OTHER_SIZE}
    assert ledger.statuses["photographs"].isna().all()  # no test of theirs
    assert ledger.statuses["released"].isna().all()


def test_a_line_has_direction_size_tolerance_interval_and_what_could_be_seen(ledger):
    lines = ledger.frame.query("scale == 'scale model' and list == 'claim'").set_index("id")
    gain = lines.loc["gain"]
    assert (gain["expects"], gain["tolerance"]) == ("gain", "its interval")
    assert gain["paper"] == pytest.approx(0.8) and gain["mean"] == pytest.approx(1.2, abs=0.2)
    assert gain["resolves"] == pytest.approx((gain["interval_high"] - gain["interval_low"]) / 2)
    assert lines.loc["none", "tolerance"] == "±0.4" and gain["seeds"] == 3
    [fast] = ledger.frame.query("scale == 'speed'").itertuples()
    assert (fast.tolerance, fast.paper) == ("±10 %", pytest.approx(50 / 51))
    assert 0 < fast.resolves < 20  # percent


def test_nothing_rests_on_a_gate_that_was_not_asked(project):
    ledger = Ledger(STATED, Answers(Study.load(project, "gated")))
    asked = ledger.frame.query("scale == 'scale model' and seeds > 0")
    assert len(asked) and set(asked["status"]) == {NOT_COMPARABLE}
    tests = (asked["list"] == "claim").sum()
    assert ledger.reasons() == f"- scale model, {tests} tests: the gate has not been asked"


def test_a_record_fills_in_what_was_untested(tmp_path, monkeypatch):
    monkeypatch.setattr(gate, "missed", lambda _: {})
    project = fakes.project(tmp_path)
    before = Ledger(STATED, Answers(Study.load(project, "gated"))).statuses["scale model"]
    assert before.dropna().eq(UNTESTED).all()
    fakes.fill(project, "gated")
    after = Ledger(STATED, Answers(Study.load(project, "gated"))).statuses["scale model"]
    assert {name for name in before.index if before[name] != after[name]} == {
        *("gain", "none", "both", "loss", "log-2")
    }


def test_released_weights_are_judged_by_images_alone(tmp_path):
    """At scale paper, of one seed: the records that an evaluation of the weights would leave."""
    project, contrast = fakes.project(tmp_path), "CascadeRCNN-CenterNet w. prob.: product"
    for run in Study.load(project, "paper").runs(["released"]):
        gain = 0.8 if run.spec.test.fusion == "product" else 0.0
        values = [42.1 + gain + 0.1 * gain * (k - 4) for k in range(9)]
        made = run.record(metrics={"AP": values[4]}, replicates={"AP": values})
        records.write(made, project.records("paper"))
    test = Compared(kind="contrast", experiment="released", contrast=contrast)
    [answer] = Answers(Study.load(project, "gated")).of(test)
    assert (answer.scale, answer.status) == ("released", PUBLISHED)
    assert answer.estimate.mean == pytest.approx(0.8) and answer.estimate.seeds == 1


def test_findings_tell_a_sign_and_expect_nothing(ledger):
    found = ledger.frame.query("list == 'finding'")
    desk = found[found["scale"] == "scale model"].set_index("test")
    assert desk["status"].to_dict() == {f"table5, {CENTERNET}": "more", f"table5, {RPN}": "less"}
    assert found["expects"].eq("–").all() and found["paper"].isna().all()
    assert found[found["id"] == "proved"]["status"].tolist() == ["holds"]
    text = ledger.found()
    assert re.search(r"product +\| scale model: −0\.\d ± \d\.\d \(3\): less", text)
    [line] = [line for line in text.splitlines() if line.startswith("| what?")]
    links = re.findall(r"\[(\d)\]\((\.\./results/runs/gated/\w+\.json)\)", line)
    assert [seed for seed, _ in links] == [*"012012"]
    folder = ledger.answers.study.project.root / "notebooks"
    assert all((folder / link).resolve().exists() for _, link in links)


def test_what_is_opposite_at_a_scale_with_a_gate_is_to_be_examined(ledger):
    assert ledger.examined() == ["loss"]
    assert [*ledger.opposite["test"]] == [f"table5, {CENTERNET}"]
    line = next(line for line in ledger.claimed().splitlines() if line.startswith("| loss"))
    assert "[examined](examined.ipynb#loss)" in line


def test_a_time_that_is_opposite_is_told_by_the_parts_of_both(ledger):
    slower = Stated.model_validate(
        {
            "claims": [
                {"id": "s", "says": "-", "place": "-", "tests": [FASTER | {"expects": "slower"}]}
            ]
        }
    )
    [(words, frame)] = Ledger(slower, ledger.answers).slower()
    assert "FasterRCNN-GFL over GFL" in words
    assert [*frame.columns] == ["row", "than", "difference"] and frame.loc[
        "second", "than"
    ] == "0.0"


def test_counts_are_of_claims_and_a_dash_is_none(ledger):
    counts = ledger.counts()
    assert list(counts.columns) == [*SCALES] and {*counts.index} == {*VERDICTS, UNTESTED}
    numbers = counts.replace("–", "0").astype(int)
    assert numbers.sum().to_dict() == ledger.statuses.notna().sum().to_dict()
    assert counts.loc[UNSEEN, "scale model"] == "–" and ledger.reasons() == ""


def test_the_list_has_every_claim_with_the_papers_size_and_a_page(ledger):
    lines = [re.split(r" *(?<!\\)\| *", line) for line in ledger.claimed("up/").splitlines()[2:]]
    assert [line[1] for line in lines] == [rf"{name} \| says" for name in CLAIMS]
    claimed = {line[1].split()[0]: line[3:6] for line in lines}
    assert claimed["gain"][0] == "a gain +0.8" and claimed["gain"][2] == "[table5](up/table5.ipynb)"
    assert claimed["both"][0] == "a gain +0.8, no change +0.0"
    assert re.fullmatch(
        r"scale model: same sign, other size \(\d of 2, ±\d\.\d\).*", claimed["both"][1]
    )
    assert claimed["faster"][0] == "faster ×0.98"
    assert claimed["log-2"][0].startswith("holds")


def test_the_products_are_a_page_and_a_table_of_all_claims():
    study = Study.load(of_claims.Project.at(ROOT), "gated")
    made = of_claims.products(study).files("claims")
    assert made.keys() == {f"tables/claims{end}" for end in (".md", ".csv", "_tally.csv")}
    tally = pd.read_csv(BytesIO(made["tables/claims_tally.csv"]), index_col="table")
    assert (tally.drop(columns="all").sum(axis=1) == tally["all"]).all()
    assert tally.loc["equations", PUBLISHED] == tally.loc["equations", "all"] > 10
    assert {"table1", "table11", "highway", "rows_table1"} <= {*tally.index}
    page, known = made["tables/claims.md"].decode(), Ledger.of(study).stated
    assert all(starred(claim.says).replace("|", r"\|") in page for claim in known.claims)
    links = {*re.findall(r"\]\(([^)]+\.ipynb)\)", page)}
    assert links and all((ROOT / "results" / "tables" / link).exists() for link in links)
    frame = pd.read_csv(BytesIO(made["tables/claims.csv"]), na_values="–")
    lines = frame[frame["id"] == "centernet-infers-a-likelihood"].set_index("scale")
    real = results(study.at(PHOTOGRAPHS), "highway").main
    lower = calibration.lower(real, "FasterRCNN-CenterNet", "FasterRCNN-RPN", "p_object", LIKELY)
    assert lines.loc["photographs", "mean"] == pytest.approx(lower.mean, abs=0.01, nan_ok=True)
    assert {*frame["id"]} == {one.id for one in (*known.claims, *known.findings)}


def test_an_answer_that_differs_makes_times_not_comparable(ledger, monkeypatch):
    bench = ledger.answers.rows(STATED.claims[-1].tests[0])
    assert [row["way"] for row in bench] == ["FasterRCNN-GFL", "GFL"]
    assert all(row["valid"] for row in bench)
    monkeypatch.setitem(bench[0], "valid", False)
    [answer] = ledger.answers.of(STATED.claims[-1].tests[0])
    assert (answer.status, answer.note) == (NOT_COMPARABLE, "another answer")


def test_a_project_without_claims_has_no_ledger(tmp_path):
    project = fakes.project(tmp_path)
    (project.experiments / "claims.yaml").unlink()
    assert Ledger.of(Study.load(project, "gated")) is None
    with pytest.raises(ValueError, match=r"experiments: no claims\.yaml"):
        Ledger.at(str(tmp_path))
