"""Laws of the fusion lab's tables, figures and picture, on invented records."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from p2s.maths.likelihood import FUSIONS
from p2s.measure import fusion
from p2s.report import experiment
from p2s.report import results as of_records
from p2s.report.figures import fusion as fusion_figures
from p2s.report.figures import fusion_scene
from p2s.report.figures.fusion_scene import Scene
from p2s.report.intervals import DASH, Estimate
from p2s.report.tables import ablation as tables
from p2s.report.tables import fusion as fusion_tables
from p2s.study import records
from p2s.study.project import Project
from p2s.study.study import Study
from tests.support import ROOT, fakes

FIRST, MISSING = "CascadeRCNN-CenterNet", "twice as long"
SLOPE = {"3 classes": 2.0, "30 classes": -2.0, FIRST: 0.5}  # AP a unit of the ratio
ROWS = [[10, 10, 40, 40, 0, 0.9, 0.2], [11, 10, 40, 40, 0, 0.6, 0.9], [60, 60, 90, 90, 1, 0.4, 0.5]]


def finding(run):
    """Invented findings in which AP is linear in the ratio, less what a threshold costs."""
    ratios = fusion.ratios()
    curve = [40 + run.seed + SLOPE.get(run.row, 0.0) * ratio for ratio in ratios]
    cells = [
        [curve[ratios.index(b / a)] - a for b in fusion.OBJECT_POWERS] for a in fusion.CLASS_POWERS
    ]
    return {
        "class_powers": list(fusion.CLASS_POWERS),
        "object_powers": list(fusion.OBJECT_POWERS),
        "map": cells,
        "kept": np.full_like(cells, 7.0).tolist(),
        "ratios": ratios,
        "curves": {"0.5": [ap - 1 for ap in curve], "0.7": curve},
        "stages": {
            name: [30.0 + b] * len(run.spec.second_stage.iou) for name, (_, b) in FUSIONS.items()
        },
        "pictures": [{"image_id": k, "rows": ROWS} for k in range(4)],
    }


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with invented records for every row but one."""
    project = fakes.project(tmp_path_factory.mktemp("fusion"))
    for run in Study.load(project, "desk").runs(["fusion"]):
        if run.row != MISSING:
            one = run.record(metrics={"AP": 1.0}, findings={"fusion": finding(run)})
            records.write(one, project.records("desk"))
    return project


@pytest.fixture(scope="module")
def study(project):
    return Study.load(project, "desk")


@pytest.fixture(scope="module")
def results(study):
    return of_records.results(study, "fusion")


def test_a_gain_is_the_products_less_that_of_class_seed_by_seed(study, results):
    claims = fusion_tables.claimed(study)
    gains = fusion_tables.gains(results, claims).set_index(["contrast", "variant"])
    for row, slope in SLOPE.items():
        assert gains.loc[(row, fusion_tables.ALL), "mean"] == pytest.approx(slope)
        assert gains.loc[(row, fusion_tables.ABOVE), "mean"] == pytest.approx(slope)
    assert gains.loc[(FIRST, fusion_tables.ALL), "verdict"] == "holds"
    assert gains.loc[("CascadeRCNN-RPN (P3-P7)", fusion_tables.ALL), "verdict"] == "holds"
    assert (gains.loc["30 classes", "verdict"] == DASH).all()  # of which the paper claims nothing
    assert gains.loc[MISSING, "mean"].isna().all() and len(tables.readable(gains.reset_index()))


def test_what_is_claimed_is_what_table_5_printed(study):
    assert fusion_tables.claimed(study) == {
        "CascadeRCNN-RPN (P3-P7)": (0.0, "none"),
        "CascadeRCNN-CenterNet": (0.8, "gain"),
    }


def test_every_named_score_is_read_off_its_own_cell(results):
    named = fusion_tables.named(results).set_index(["row", "setting", "seed"]).loc[FIRST]
    for name, (a, b) in FUSIONS.items():
        whole = 41 + SLOPE[FIRST] * b / a
        for setting, less in zip(fusion_tables.SETTINGS, (0, 1, 0, a), strict=True):
            assert named.loc[(setting, 1), name] == pytest.approx(whole - less)


def test_the_baselines_own_nms_is_theirs(results):
    named = fusion_tables.named(results).set_index(["setting", "row", "seed"])["class"]
    rpn = ("CascadeRCNN-RPN (P3-P7)", 0)
    assert named[(fusion_tables.ALL, *rpn)] == named[("all scores at NMS .5", *rpn)] == 39


def test_without_a_record_is_a_dash(results):
    for frame in (fusion_tables.summary(results), fusion_tables.costs(results)):
        assert set(frame.loc[MISSING]) <= {DASH, fusion_tables.MISSING} and len(frame) == 11
        assert all(isinstance(name, str) for name in frame.columns)
    assert (fusion_tables.by_stage(results).loc[MISSING] == DASH).all()


def test_each_row_changes_one_factor_of_the_first(results):
    groups = fusion_tables.by_factor(results)
    assert list(groups["classes"]) == ["3 classes", "10 classes", "30 classes"]
    assert list(groups["iterations"]) == ["500 iterations", "1000 iterations", "2000 iterations"]
    assert list(groups["second stage"]) == [FIRST, "FasterRCNN-CenterNet"]
    rows = [row for group in groups.values() for row in group.values() if row != FIRST]
    assert sorted([FIRST, *rows]) == sorted(results.rows)
    specs = {run.row: run.spec for run in results.runs}
    for row in rows:
        of_its_stages = BASELINE if "RPN" in row else set()
        assert differences(specs[row], specs[FIRST]) - of_its_stages in CHANGES, row


CHANGES = [
    {"first"},
    {"second", "second_stage.iou"},
    {"num_classes", "data.classes"},
    {"recipe.iterations"},
]
BASELINE = {  # what an RPN's row has of its own besides: settings of the paper's baselines
    *(f"first_stage.{name}" for name in ("layers", "weight", "pre_nms", "nms")),
    *(f"test.{name}" for name in ("fusion", "proposals", "proposal_nms", "proposal_floor", "nms")),
    "second_stage.iou",
}


def differences(spec, other):
    """Dotted names of the fields in which two Specs differ."""
    ours, theirs = flat(spec.model_dump()), flat(other.model_dump())
    return {name for name in ours if ours[name] != theirs[name]}


def flat(part, before=""):
    found = {}
    for name, value in part.items():
        found |= (
            flat(value, f"{before}{name}.") if isinstance(value, dict) else {before + name: value}
        )
    return found


def test_words_follow_the_numbers(results):
    said, *of_factors = fusion_tables.sentences(results)
    assert "**helps**: CascadeRCNN-CenterNet +0.5 ± 0.0 (3), 3 classes +2.0 ± 0.0 (3)" in said
    assert "**hurts**: 30 classes −2.0" in said and f"**no record**: {MISSING} –" in said
    assert "**no change**: half as long +0.0" in said and len(of_factors) == 4
    assert "from 3 classes to 30 classes: −4.0 ± 0.0 (3), **shrinks**" in of_factors[2]


@pytest.mark.parametrize(
    "effect, said",
    [
        ((1, 0.5, 1.5, 3), "helps"),
        ((-1, -1.5, -0.5, 3), "hurts"),
        ((0, -0.2, 0.2, 3), "no change"),
        ((1, -0.5, 2.5, 3), "undecided"),
        ((1, np.nan, np.nan, 1), "undecided"),
        ((np.nan, np.nan, np.nan, 0), "no record"),
    ],
)
def test_a_reading_is_what_the_interval_allows(effect, said):
    assert fusion_tables.reading(Estimate(*effect)) == said


def test_no_seed_is_judged_by_a_ratio_chosen_on_it():
    lucky = np.eye(4)[:, :, None]  # each of 4 seeds is best at a ratio of its own
    curves = pd.DataFrame(lucky[:, :, 0], columns=[0.0, 0.5, 1.0, 2.0])
    assert fusion_tables.at_best(curves).tolist() == [0, 0, 0, 0]
    assert curves.max(axis=1).tolist() == [1, 1, 1, 1]
    assert fusion_tables.at_best(curves[:1]).empty


def test_the_best_ratio_is_that_of_the_mean_with_all_that_lose_next_to_nothing():
    ratios, parabola = [0.0, 0.5, 1.0, 2.0, 4.0], [39.9, 40.3, 40.0, 39.8, 30.0]
    curves = pd.DataFrame([parabola, np.add(parabola, 5)], columns=ratios)
    assert fusion_tables.best_ratio(curves) == (0.5, 0.0, 1.0)


def test_at_paper_scale_rows_of_other_synthetic_classes_are_left_out():
    rows = {run.row for run in Study.load(Project.at(ROOT), "paper").asked(["fusion"])}
    assert FIRST in rows and "half as long" in rows and not rows & {"3 classes", "30 classes"}


def test_trainings_of_tables_1_and_5_are_shared():
    study = Study.load(Project.at(ROOT), "desk")
    theirs = {run.training_id for run in study.asked(["table1", "table5"])}
    ours = {run.row: run.training_id for run in study.asked(["fusion"])}
    own = {row for row, training in ours.items() if training not in theirs}
    assert own == {"3 classes", "30 classes", "half as long", "twice as long"}
    smoke = study.at("smoke").asked(["fusion"])
    assert len(smoke) and all(run.measures == ("fusion",) for run in smoke)


def test_the_report_keeps_the_same_bytes_whenever_they_are_made(study, results):
    kept, again = (fusion_figures.products(results, study).files("fusion") for _ in range(2))
    assert kept == again and len(kept) == 5 and b"holds" in kept["tables/fusion_gains.csv"]
    assert kept["figures/fusion_map.svg"] == fusion_figures.large_map(results, FIRST).content()
    every = {}
    for products in experiment.products(results, study):
        every |= products.files("fusion")
    assert every | kept == every


def test_figures_without_records_are_empty_pictures(results):
    nothing = replace(results, records={})
    for figure in (fusion_figures.small_maps, fusion_figures.ratios):
        assert figure(nothing).content().startswith(b"<?xml")
    assert fusion_figures.large_map(nothing, FIRST).content().startswith(b"<?xml")


def test_every_curve_is_drawn_from_no_gain_at_ratio_0(results):
    lines = [line for axes in fusion_figures.ratios(results).axes for line in axes.lines]
    drawn = [line for line in lines if len(line.get_xdata()) == len(fusion.ratios())]
    assert len(drawn) == 11 + 3 - 1 and all(line.get_ydata()[0] == 0 for line in drawn)


def shown(rows=ROWS, objects=((10, 10, 40, 40, 0), (60, 60, 90, 90, 2)), nms=0.5):
    truth, rows = (torch.tensor(each, dtype=torch.float32) for each in (objects, rows))
    image = np.zeros((100, 100, 3), np.uint8)
    return Scene(image, truth.reshape(-1, 5), rows.reshape(-1, 7), nms)


def test_powers_decide_which_of_two_overlapping_boxes_stays():
    by_class, product = (shown().detections(1, b, 0.1).tolist() for b in (0, 1))
    assert by_class[0] == pytest.approx([10, 10, 40, 40, 0, 0.9])
    assert product[0] == pytest.approx([11, 10, 40, 40, 0, 0.54])
    assert len(by_class) == len(product) == 2 and len(shown().detections(1, 1, 0.3)) == 1


def test_an_object_is_found_once_and_only_as_its_class():
    scene = shown(nms=1.0)
    assert scene.right(scene.detections(1, 0, 0.0)) == [True, False, False]
    bare = shown(objects=())
    assert bare.right(bare.detections(1, 0, 0.0)) == [False] * len(bare.detections(1, 0, 0.0))
    empty = shown(rows=())
    assert empty.right(empty.detections(1, 1, 0.1)) == [] and empty.by_name().content()


def test_a_scene_is_drawn_from_its_record_and_none_without(results):
    scene = fusion_scene.scene(results, FIRST, 2)
    assert torch.equal(scene.rows, torch.tensor(ROWS))
    assert scene.image.shape == (160, 160, 3) and len(scene.objects) > 0 and scene.nms == 0.7
    assert fusion_scene.scene(results, MISSING) is None


def test_moving_a_slider_draws_again():
    scene = shown()
    *sliders, picture = scene.explored().children
    assert [slider.value for slider in sliders] == [1, 1, 0.3]
    assert picture.value == scene.drawn().content()
    for place, powers in enumerate([(0.5, 1, 0.3), (0.5, 0, 0.3), (0.5, 0, 0.95)]):
        sliders[place].value = powers[place]
        assert picture.value == scene.drawn(*powers).content()
    assert scene.drawn(1, 1, 0.05).axes[0].get_title() == "1 right, 1 wrong, 1 missed"
    assert scene.drawn(1, 1, 0.95).axes[0].get_title() == "0 right, 0 wrong, 2 missed"
