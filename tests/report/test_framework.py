import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from p2s.maths.geometry import locations
from p2s.model.first.dense import plain_score
from p2s.model.first.heads import Predictions
from p2s.model.zoo import build
from p2s.report.figures import framework as figures
from p2s.spec import Spec
from p2s.study import observe, records, views
from p2s.study.project import Project
from tests.support import fakes
from tests.support.commands import p2s

CLASSES = ("a", "b", "c")
BACKBONE = {"depth": 18, "width": 8, "norm": "BN", "frozen_stages": 0, "fpn_channels": 16}
TEST = {"proposals": 6, "proposal_nms": 0.7, "nms": 1.0, "score_threshold": 0.0, "detections": 99}
TEST |= {"short_edge": 64, "long_edge": 64}


def titles(figure):
    return [panel.get_title() for panel in figure.axes]


def words(figure):
    return [text.get_text() for panel in figure.axes for text in panel.texts]


@pytest.fixture(scope="module")
def seen():
    """What a small untrained detector, made to be unsure of everything, says of a grey image."""
    torch.manual_seed(0)
    parts = {"backbone": BACKBONE, "second_stage": {"channels": 16}, "num_classes": 3, "test": TEST}
    spec = Spec.named("CenterNet2").changed(parts)
    model = build(spec)
    with torch.no_grad():
        head = model.proposal_generator.head
        head.score.bias.fill_(0.5)
        head.ltrb.bias.fill_(1.0)  # boxes of two cells a side
        for predictor in model.roi_heads.box_predictor:
            predictor.cls_score.bias.copy_(torch.tensor([2.0, 0.0, -1.0, 1.0]))
    return observe.observe(model, _data(), 0, spec.test)


def _data():
    boxes = {"boxes": np.zeros((0, 4), np.float32), "classes": np.zeros(0, np.int64)}
    size = {"image_id": 4, "height": 128, "width": 128}  # tested at half of it
    image = np.random.default_rng(0).integers(255, size=(128, 128, 3)).astype(np.uint8)
    return SimpleNamespace(images=[{"id": 4}], sample=lambda _: {"image": image, **boxes, **size})


def stage(*maps):
    """A first stage that says so of each level, and features of the maps' sizes."""
    strides = torch.tensor([8.0, 16.0])
    logit = torch.cat([each.flatten(1, 2) for each in maps], 1)[..., None]  # (1, A, 1)
    grid = locations([each.shape[1:] for each in maps], strides)
    found = Predictions(logit, torch.zeros(1, logit.shape[1], 4))
    names = ["p3", "p4"]
    features = dict(zip(names, (each[:, None] for each in maps), strict=True))
    return SimpleNamespace(
        predict=lambda _: (grid, found), score=plain_score, strides=strides, in_features=names
    ), features


def test_the_heat_map_peaks_where_a_level_does_whatever_the_level():
    fine, coarse = torch.full((1, 4, 6), -9.0), torch.full((1, 2, 3), -9.0)
    fine[0, 3, 1], coarse[0, 0, 2] = 1.0, 2.0
    heat, stride = observe.heat_map(*stage(fine, coarse), (32, 48))
    assert stride == 8 and heat.shape == (4, 6)
    expected = torch.full((4, 6), -9.0)
    expected[3, 1], expected[:2, 4:] = 1.0, 2.0
    torch.testing.assert_close(heat, expected.sigmoid())


def test_cells_that_lie_in_the_padding_are_left_out():
    heat, _ = observe.heat_map(*stage(torch.zeros(1, 4, 6), torch.zeros(1, 2, 3)), (17, 30))
    assert heat.shape == (3, 4)


def test_the_scores_of_the_detections_are_the_products_that_figure_1_draws(seen):
    assert len(seen.detections) == 6 * 3 and seen.cell == 16
    factors = {(row[4], tuple(p)) for row, p in zip(seen.proposals, seen.p_class, strict=True)}
    for *_, score, label, p_object, p_class in seen.detections:
        own = [p for there, p in factors if there == p_object and p[int(label)] == p_class]
        assert own and figures.joint(np.array(own[0]), p_object)[int(label)] == pytest.approx(
            score, abs=2e-4
        )


def test_the_joint_probabilities_are_equation_1():
    p_class, p_object = np.array([0.5, 0.2, 0.3]), 0.8
    assert figures.joint(p_class, p_object) == pytest.approx([0.4, 0.16, 0.3 * 0.8 + 0.2])
    assert figures.joint(p_class, p_object).sum() == pytest.approx(1)


def test_figure_1_prints_the_models_factors_and_their_product(seen):
    figure = figures.factors(_data().sample(0)["image"], seen, CLASSES)
    rows = figures.apart(seen)
    numbers = [each for each in words(figure) if "→" in each]
    expected = []
    for row in rows:
        p_class, p_object = np.array(seen.p_class[row]), seen.proposals[row][4]
        for k in (-p_class).argsort(kind="stable")[: figures.OUTCOMES]:
            product = p_class[k] * p_object + (k == 3) * (1 - p_object)
            expected.append(f"{p_class[k]:.2f} → {product:.2f}")
    assert numbers == expected and rows[0] == 0
    assert sum("P(O) = " in each for each in titles(figure)) == len(rows)


def test_figure_1_is_a_pure_function_of_what_was_seen(seen):
    image = _data().sample(0)["image"]
    first, second = (figures.factors(image, seen, CLASSES).content() for _ in range(2))
    assert first == second and first.startswith(b"\x89PNG")
    empty = seen.model_copy(update={"proposals": [], "p_class": [], "detections": []})
    assert figures.factors(image, empty, CLASSES).content() != first


def test_numbered_proposals_overlap_no_likelier_one_by_more_than_half():
    boxes = [[0, 0, 10, 10], [0, 0, 10, 8], [0, 0, 10, 5], [20, 0, 30, 10]]
    fake = SimpleNamespace(proposals=[[*box, 0.9] for box in boxes])
    assert figures.apart(fake) == [0, 2, 3]


@pytest.fixture(scope="module")
def pair(project):
    return figures.first_proposals(project, "desk")


def test_figure_3_shows_both_first_stages_on_the_same_scenes(pair):
    assert [one.detector for one in pair] == ["CascadeRCNN-RPN (P3-P7)", "CascadeRCNN-CenterNet"]
    assert len({one.seed for one in pair}) == 1
    shown = [[scene["image_id"] for scene in one.scenes] for one in pair]
    assert shown[0] == shown[1]


def test_figure_3_counts_what_it_draws_and_a_loop_counts_the_same(pair):
    figure = figures.proposals(pair)
    panels = iter(np.reshape(figure.axes, (4, 4)).T.ravel())
    for root in (False, True):
        for record in pair:
            for scene in record.scenes:
                panel, count = next(panels), 0
                for row in scene["proposals"]:
                    count += (np.sqrt(row[4]) if root else row[4]) > 0.3
                assert len(panel.patches) == count
                assert int(re.search(r"(\d+) proposals$", panel.get_title())[1]) == count
    assert figure.axes[2].get_title().startswith("CascadeRCNN-RPN (P3-P7)\n√P(O) > 0.3\n")


@pytest.mark.parametrize("limit, said", [(2, "all 2"), (3, "at least 2")])
def test_figure_3_says_whether_a_record_may_have_left_out_some(pair, limit, said):
    spec = pair[0].spec | {"test": pair[0].spec["test"] | {"proposals": limit}}
    scene = {"image_id": 0, "proposals": [[0, 0, 9, 9, 0.9], [5, 5, 9, 9, 0.8]], "detections": []}
    record = pair[0].model_copy(update={"spec": spec, "scenes": [scene]})
    assert titles(figures.proposals([record]))[0].endswith(f"\n{said} proposals")


def test_figure_3_of_no_proposals_is_empty_panels(pair):
    empty = [{**scene, "proposals": []} for scene in pair[0].scenes]
    figure = figures.proposals([pair[0].model_copy(update={"scenes": empty})])
    assert not any(panel.patches for panel in figure.axes)
    assert all(each.endswith("0 proposals") for each in titles(figure))
    none = figures.proposals([pair[0].model_copy(update={"scenes": []})])
    assert none.content().startswith(b"\x89PNG") and figures.proposals([]).content()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A project whose cache holds a model of scale smoke, with its weights as they were drawn."""
    project = fakes.project(tmp_path_factory.mktemp("trained"))
    run = views.run(project, "smoke")
    folder = project.weights(run)
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    weights = {name: one.contiguous() for name, one in build(run.spec).state_dict().items()}
    save_file(weights, folder / "model.safetensors")
    (folder / "spec.json").write_text(run.spec.model_dump_json())
    (folder / "classes.json").write_text(str(list("0123456789")).replace("'", '"'))
    return project


def test_figure_1_is_made_from_the_best_weights_there_are(trained, project):
    found = observe.from_weights(trained)
    assert (found.scale, found.detector) == ("smoke", "CascadeRCNN-CenterNet")
    assert figures.of_view(found).content().startswith(b"\x89PNG")
    assert observe.from_weights(project) is None


def test_the_report_keeps_figure_1_of_a_record_and_the_record_stays_small(trained, monkeypatch):
    assert views.latest(trained) is None
    monkeypatch.setattr(Project, "at", lambda: trained)
    done = p2s("study", "framework", "--scale", "smoke")
    [path] = trained.views.iterdir()
    assert done.output == f"{path}\n" and path.stat().st_size < 60_000
    made = figures.products(trained)
    assert made.keys() == {"figures/figure1.png", "figures/figure2.svg"}
    assert made["figures/figure1.png"] == figures.of_view(views.latest(trained)).content()


def test_a_view_of_another_training_than_the_projects_is_none(trained, tmp_path):
    own, other = observe.measure(trained, "smoke", 0), fakes.project(tmp_path)
    records.write(
        own.model_copy(update={"id": "of-another-0", "training_id": "of-another"}), other.views
    )
    assert views.latest(other) is None
    records.write(own, other.views)
    assert views.latest(other).seen == own.seen


def test_nothing_but_structures_is_drawn_without_records(tmp_path):
    assert figures.pictures(fakes.project(tmp_path)).keys() == {"figure2"}
