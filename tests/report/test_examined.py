"""What comes out opposite, examined on invented records whose parts are known."""

import pytest

from p2s.report import examined as of_opposites
from p2s.report.answers import Answers
from p2s.report.claims import Stated
from p2s.report.examined import NOTHING, Examined
from p2s.report.ledger import Ledger
from p2s.report.style import Picture
from p2s.report.tables import gate
from p2s.report.tables.differences.parts import CLAIMED
from p2s.study import records
from p2s.study.study import Study
from tests.support import fakes

PRODUCT, RPN = "CascadeRCNN-CenterNet w. prob.: product", "CascadeRCNN-RPN w. prob.: product"
ALL_STEPS = "FasterRCNN-CenterNet: all steps"
RISES = {"first stage": -4.0, "product": 1.0}  # AP of factors' steps; of all others .25
CLASSES = dict(zip("ABCDEFGH", (3, 2, 1, 0.5, 0, -1, -2, -3), strict=True))  # AP that is lost
SOUND = {"kind": "numbers", "quantity": "calibrated", "experiment": "calibration"}
SOUND |= {"row": "FasterRCNN-CenterNet", "than": "FasterRCNN-RPN"}
TESTS = {  # by claim
    "product": {"kind": "contrast", "experiment": "table5", "contrast": PRODUCT},
    "steps": {"kind": "contrast", "experiment": "factors", "contrast": ALL_STEPS},
    "sound": SOUND,
    "fine": {"kind": "contrast", "experiment": "table5", "contrast": RPN, "expects": "loss"},
}
STATED = Stated.model_validate(
    {
        "claims": [
            {"id": name, "says": f"{name} | says", "place": "Sec. 6", "tests": [test]}
            for name, test in TESTS.items()
        ]
    }
)
GROUPS = ("test setting", "threshold", "size", "error", "power of P(O)", "probability")


def record(run):
    """One in which the product loses 2 AP, but not above .3, of large objects, of some classes."""
    lost = 2.0 if run.spec.test.fusion == "product" else 0.0
    ap = 40 - lost + 0.05 * run.seed
    metrics = {"AP": ap, "APs": ap, "APm": ap - lost, "APl": None}
    return run.record(
        metrics=metrics | {"TIDE_Bkg": 4 + lost, "TIDE_Cls": 3 - lost},
        per_class={name: 40 - less * lost for name, less in CLASSES.items()},
        replicates={"AP": [ap - 0.1 * lost, ap, ap + 0.1 * lost]},
        parts={
            "threshold": {"above": [0.1, 0.3], "AP": [ap, ap + 2 * lost]},
            "size": {"from": [0, 9, 20], "AP": [ap, ap, ap + 1.5 * lost]},
        },
        findings=_findings(run),
        weights=run.training_id,
    )


def _findings(run):
    """Power .25 is the best; an RPN's P(O) has the smaller error, and its score the larger."""
    if run.experiment == "fusion":
        aps = [40.0, 41.0 + 0.1 * run.seed, 38.0]
        return {"fusion": {"ratios": [0.0, 0.25, 1.0], "curves": {str(run.spec.test.nms): aps}}}
    errors = (5.0, 3.0) if "RPN" in run.row else (9.0 + 0.1 * run.seed, 1.0)
    of_p_object, of_score = ({"all": {"d_ece": error}} for error in errors)
    of_p_object["above_.05"] = of_p_object["all"]
    return {"calibration": {"p_object": of_p_object, "score": of_score}}


def on_the_road(study):
    """Records of factors' first road, each row above the one before by RISES."""
    height, heights = 40.0, {"FasterRCNN-RPN": 40.0}
    for one in study.experiments["factors"].contrasts[:6]:
        height += RISES.get(one.name, 0.25)
        heights[one.row] = height
    for run in study.runs(["factors"]):
        if run.row in heights:
            ap = heights[run.row] + 0.05 * run.seed
            yield run.record(metrics={"AP": ap}, replicates={"AP": [ap] * 3})


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    """The ledger of such records if nothing of the gate is missed."""
    project = fakes.project(tmp_path_factory.mktemp("project"))
    study = Study.load(project, "gated")
    made = map(record, study.runs(["table5", "fusion", "calibration"]))
    for one in (*made, *on_the_road(study)):
        records.write(one, project.records("gated"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gate, "missed", lambda _: {})
        ledger = Ledger(STATED, Answers(study))
        assert ledger.examined() == ["product", "steps", "sound"]
    return ledger


@pytest.fixture
def shown(monkeypatch):
    """What is displayed of a page by calling its methods."""
    objects = []
    monkeypatch.setattr(of_opposites, "display", lambda *parts: objects.extend(parts))

    def of(method, *names):
        objects.clear()
        method(*names)
        return [getattr(one, "data", one) for one in objects]

    return of


def sides(ledger, claim):
    """The side of each part, by group."""
    lines = Examined(ledger, claim).lines
    pairs = {group: some.set_index("part")["side"] for group, some in lines.groupby("group")}
    return {group: {side: [*of.index[of == side]] for side in {*of}} for group, of in pairs.items()}


def test_every_part_that_records_hold_takes_its_side(ledger):
    said = sides(ledger, "product")
    assert said["threshold"] == {"opposite": ["above 0.1"], CLAIMED: ["above 0.3"]}
    assert said["size"][CLAIMED] == ["largest third"] and "S" in said["size"]["opposite"]
    assert said["error"] == {"opposite": ["Bkg"], CLAIMED: ["Cls"]}  # less is better
    assert said["class"][CLAIMED] == ["F", "G", "H"]
    assert said["power of P(O)"] == {CLAIMED: ["0.25"], "opposite": ["1"]}
    assert {*said["test setting"]["opposite"]} == {*fakes.VARIANTS}


def test_a_claim_about_probabilities_is_examined_by_probability(ledger):
    [group] = sides(ledger, "sound").items()
    assert group[0] == "probability"
    assert group[1][CLAIMED] == ["score, of all"]
    assert group[1]["opposite"] == ["P(O), of all", "P(O), above .05"]


def test_the_step_that_turns_the_difference_is_named(ledger, shown):
    page = Examined(ledger, "steps")
    title, table = shown(page.steps)
    assert title == f"**scale model: factors, {ALL_STEPS}**"
    assert table["difference"]["first stage"].startswith("−4.0")
    assert table["sum so far"].iloc[-1] == "−2.0 ± 0.0 (3)"
    turning = table.index[table["without it"] == CLAIMED]
    assert [*turning] == ["first stage"] and table.loc["first stage", "all but it"][:4] == "+2.0"
    assert f"{CLAIMED} without the step: first stage." in shown(page.summary)[1]


def test_rows_without_a_road_are_told_apart_by_their_settings(ledger, shown):
    [said] = shown(Examined(ledger, "product").steps)
    assert "no road" in said and said.endswith("The rows differ in test.fusion (class → product).")


def test_the_rows_stand_with_both_intervals_and_their_records(ledger, shown):
    [frame] = shown(Examined(ledger, "product").differences)
    line = frame.iloc[0]
    assert (line["difference"], line["the paper's"]) == ("−2.0", "+0.8, a gain")
    assert line["over seeds"] == "−2.0 to −2.0" and line["over images"] == "−2.2 to −1.8"
    assert line["row"].endswith(", 38.1 ± 0.1 (3)") and line["over"].endswith(", 40.1 ± 0.1 (3)")
    assert line["records"].count("../results/runs/gated/") == 6


def test_what_records_do_not_hold_is_said(ledger, shown):
    page = Examined(ledger, "steps")
    for group in ("threshold", "size", "error", "power of P(O)"):
        [said] = shown(page.group, group)
        assert said == f"The records do not hold this of: scale model: factors, {ALL_STEPS}."
    assert shown(page.classes) == [said]
    assert shown(page.group, "probability") == ["Nothing that is opposite is about this."]


def test_the_page_of_all_leads_to_each_and_that_of_one_has_a_picture(ledger, shown):
    claims, turns = shown(Examined(ledger).summary)
    assert claims.count("\n") == turns.count("\n") == 2
    assert "[Examined](examined.ipynb#sound)" in claims and "fine" not in claims
    assert "by threshold: above 0.3; by size: largest third" in turns
    *_, picture = shown(Examined(ledger, "product").summary)
    assert isinstance(picture, Picture) and "size largest third +1.0 ± 0.0 (3)" in picture.alt
    assert picture.content().startswith(b"<?xml")
    [grid] = shown(Examined(ledger).group, "threshold")[:1]
    assert grid.shape == (1, 2) and 'class="mark good"' in grid.iloc[0]["above 0.3"]


def test_the_list_of_claims_links_to_what_is_examined(ledger):
    lines = ledger.claimed("up/").splitlines()[2:]
    linked = [f"[examined](up/examined.ipynb#{name})" for name in TESTS]
    assert [link in line for link, line in zip(linked, lines, strict=True)] == [*(True,) * 3, False]


def test_the_product_of_a_lab_is_examined_by_the_power_of_p_object(ledger):
    test = {"kind": "product", "experiment": "fusion", "row": "CascadeRCNN-GFL"}
    claim = {"id": "lab", "says": "-", "place": "-", "tests": [test]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gate, "missed", lambda _: {})
        of_lab = Ledger(Stated.model_validate({"claims": [claim]}), ledger.answers)
        assert of_lab.frame["mean"].tolist() == [pytest.approx(-2)] and of_lab.examined() == ["lab"]
    assert sides(of_lab, "lab") == {"power of P(O)": {CLAIMED: ["0.25"], "opposite": ["1"]}}
    Examined(of_lab).differences()


@pytest.mark.parametrize("claim", ["", "fine"])
def test_where_nothing_is_opposite_that_alone_is_said(ledger, shown, claim):
    calm = Stated(claims=STATED.claims[-1:])
    page = Examined(Ledger(calm, ledger.answers), claim)
    assert shown(page.summary)[0].startswith(NOTHING)
    for method in (page.differences, page.classes, page.steps):
        assert shown(method) == []
    assert all(shown(page.group, group) == [] for group in GROUPS)


def test_an_unknown_claim_is_refused(tmp_path):
    with pytest.raises(ValueError, match="unknown claim 'none'; valid: score-is"):
        Examined.at(str(fakes.project(tmp_path).root), "none")
