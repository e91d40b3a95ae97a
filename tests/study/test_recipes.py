"""The recipes of Tables 2, 3 and 10 at scale paper, as Appendix B and C have them."""

import pytest
import yaml

from p2s.data import glyphs
from p2s.measure import pseudo
from p2s.measure.coco import detect
from p2s.spec.recipe import Square
from p2s.study import train_eval
from p2s.study.project import Project
from p2s.study.study import Study
from p2s.train.engine import load
from tests.support import ROOT

LARGE = (3, 7)
ROWS = {  # iterations of a cycle, cycles, short edges or side of a square, test size, levels
    ("table3", "CascadeRCNN"): (180_000, 1, (480, 960), (800, 1333), (2, 6)),
    ("table3", "CenterNet*"): (180_000, 1, (480, 960), (800, 1333), LARGE),
    ("table3", "CenterNet2"): (180_000, 1, (480, 960), (800, 1333), LARGE),
    ("table2", "FCOS-RT"): (360_000, 1, (256, 608), (512, 736), (3, 5)),
    ("table2", "CenterNet2"): (360_000, 1, (256, 608), (512, 736), (3, 5)),
    ("table2", "CenterNet2, long"): (360_000, 6, (256, 608), (512, 736), (3, 5)),
    ("table2", "CenterNet2 P5, long"): (360_000, 6, 640, (608, 900), LARGE),
    ("table10", "CenterNet2"): (180_000, 1, (480, 960), (800, 1333), LARGE),
    ("table10", "Res2Net-101-DCN"): (180_000, 1, (480, 960), (800, 1333), LARGE),
    ("table10", "square crops, 4x"): (360_000, 1, 896, (800, 1333), LARGE),
    ("table10", "1280 pixels, BiFPN"): (360_000, 1, 1280, (800, 1333), LARGE),
    ("table10", "self-training, 4x more"): (360_000, 1, 1280, (800, 1333), LARGE),
    ("table10", "tested at 1560 pixels"): (360_000, 1, 1280, (1560, 1560), LARGE),
}


def found(scale, tables=("table2", "table3", "table10")):
    runs = Study.load(Project.at(ROOT), scale).asked(tables)
    return {(run.experiment, run.row): run for run in runs}


@pytest.fixture(scope="module")
def at_paper():
    return found("paper")


@pytest.mark.parametrize("place", ROWS, ids=" | ".join)
def test_length_images_and_test_size_are_the_papers(at_paper, place):
    spec = at_paper[place].spec
    recipe, crop = spec.recipe, spec.recipe.crop
    is_square = isinstance(crop, Square)
    edges = crop.size if is_square else recipe.short_edge
    assert (recipe.edges == "range") == (not is_square)
    size = (spec.test.short_edge, spec.test.long_edge)
    assert (recipe.iterations, recipe.cycles, edges, size, spec.levels) == ROWS[place]
    drops = [round(share * recipe.iterations) for share in recipe.drops]
    last = {180_000: [120_000, 160_000], 360_000: [300_000, 340_000]}
    assert drops == last[recipe.iterations]
    if is_square:
        assert (crop.smallest, crop.largest) == (0.1, 2.0)
    assert recipe.long_edge == (900 if place[0] == "table2" else 1333)


def test_real_time_nets_have_128_proposals_and_four_layers_of_160_channels(at_paper):
    for row in ("CenterNet2", "CenterNet2, long", "CenterNet2 P5, long"):
        spec = at_paper["table2", row].spec
        assert spec.test.proposals == 128
        assert (spec.backbone.neck.layers, spec.backbone.fpn_channels) == (4, 160)


def test_the_original_centernet_trains_as_its_publication_says(at_paper):
    recipe = at_paper["table2", "CenterNet (DLA)"].spec.recipe
    images = recipe.iterations * recipe.batch
    assert images / 118_287 == pytest.approx(230, abs=0.01)  # epochs of COCO train2017
    assert [round(230 * share) for share in recipe.drops] == [180, 210]
    assert recipe.scaled_rate == pytest.approx(5e-4) and recipe.crop.size == 512


def test_self_training_starts_from_the_row_above_and_shares_a_training(at_paper):
    above, tuned, tested = (
        at_paper["table10", row]
        for row in ("1280 pixels, BiFPN", "self-training, 4x more", "tested at 1560 pixels")
    )
    assert tuned.start == above and tuned.training_id == tested.training_id
    assert tuned.spec.data.kind == "self_training"


@pytest.mark.parametrize("scale", ["gated", "smoke"])
def test_sizes_of_scenes_are_in_the_papers_ratios(scale):
    runs = {row: run.spec for (table, row), run in found(scale).items() if table == "table10"}
    assert len(runs) == 6
    for row, spec in runs.items():
        usual, paper = runs["CenterNet2"].test.short_edge / 800, ROWS["table10", row]
        assert spec.test.short_edge == pytest.approx(usual * paper[3][0], abs=0.5)
        if isinstance(spec.recipe.crop, Square):
            assert spec.recipe.crop.size == pytest.approx(usual * paper[2], rel=0.05)
    assert runs["self-training, 4x more"].recipe.pseudo_scenes > 0


@pytest.fixture
def small(tmp_path):
    """The tables at scale smoke with a few scenes and steps."""
    scales = yaml.safe_load((ROOT / "experiments" / "scales.yaml").read_text())
    changes = scales["smoke"]["changes"]
    changes["data"] |= {"train": 4, "val": 2, "size": 64, "classes": 2}
    changes["recipe"] |= {"iterations": 2, "batch": 2, "warmup": 1}
    (tmp_path / "experiments").mkdir()
    for name in ("table2.yaml", "table10.yaml", "paper.yaml"):
        text = (
            (ROOT / "experiments" / name)
            .read_text()
            .replace("pseudo_scenes: 30", "pseudo_scenes: 3")
        )
        (tmp_path / "experiments" / name).write_text(text)
    (tmp_path / "experiments" / "scales.yaml").write_text(yaml.safe_dump(scales))
    return Project(tmp_path, tmp_path / ".p2s")


def trained(project, table, row, variant=""):
    run = Study.load(project, "smoke").find(table, row, variant, seed=0)
    train, val = train_eval.load_data(run, project)
    assert [train.fingerprint, val.fingerprint] == [run.train_fingerprint, run.val_fingerprint]
    return run, train, train_eval.trained(run, project, train)


def test_a_row_with_squares_and_cycles_trains(small):
    _, _, (_, curve, _) = trained(small, "table2", "CenterNet2 P5, long", "all scores")
    assert curve["iteration"] == [0, 1, 2, 3]


def test_self_training_is_on_scenes_that_the_row_above_has_labelled(small, monkeypatch):
    monkeypatch.setattr(pseudo, "ABOVE", 0.0)  # of what has learnt nothing
    run, train, (_, curve, _) = trained(small, "table10", "self-training, 4x more")
    assert load(small.weights(run.start))[1] == run.start.spec  # it was trained for this one
    _, own, (model, *_) = trained(small, "table10", "1280 pixels, BiFPN")
    assert (len(own), len(train)) == (4, 7) and curve["iteration"] == [0, 1, 2, 3]
    others, _ = glyphs.load(pseudo.unlabelled(run.spec.data, 3), small.cache / "data")
    assert not {*map(str, others.annotations)} & {*map(str, train.annotations)}
    found, _ = detect(
        model, others, train_eval._of_labels(run).model_copy(update={"score_threshold": 0.0})
    )
    for index, of_image in enumerate(found):
        boxes, classes, _ = train.boxes(4 + index)
        assert len(boxes) <= len(of_image) and set(classes) <= set(of_image.pred_classes.tolist())
    monkeypatch.setattr(pseudo, "labels", None)  # they are made once
    share = train_eval._pseudo_labelled(run, small)["pseudo_labelled"]
    assert share["images"] == 3 / 7 and 0 < share["boxes"] < 1
