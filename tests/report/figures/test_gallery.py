"""The gallery shows what records hold, and its page scores as the study does."""

import json
from html import unescape

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.ops import box_iou

from p2s.data import catalogue
from p2s.files import file_fingerprint
from p2s.maths.likelihood import FUSIONS, fuse
from p2s.report import printing
from p2s.report.figures import fusion_scene, gallery
from p2s.study import records
from p2s.study.project import Project
from p2s.study.study import Study
from tests.report.browser import PHONE, browser, page_of
from tests.support import ROOT, fakes

needs_chromium = pytest.mark.skipif(
    not printing.chromium(), reason=f"no Chromium here: {', '.join(printing.NAMES)}"
)
LABELS = "[...document.querySelectorAll('.gallery label')]"
SET = LABELS + ".find(l => l.innerText.startsWith({name!r})).querySelector('input, select')"
CELLS = """[...document.querySelectorAll('.gallery tbody tr')]
.map(row => [...row.cells].map(cell => cell.innerText))"""
SAID = "document.querySelector('.said').textContent"
EMPTY = {"metrics": {"AP": 1.0}}


def of(project, scale="desk"):
    return gallery.gallery(Study.load(project, scale))


def test_of_every_first_stage_the_evaluation_that_cuts_the_fewest_scores(project):
    made, known = of(project), {}
    for place in made.records:
        record = records.read(project.root / place)
        known[record.spec["first"]] = record.spec["test"]
    assert [*known] == ["rpn", "centernet"] and len(made.scenes) == 4
    assert {(test["score_threshold"], test["fusion"]) for test in known.values()} == {
        (0.0, "product")
    }
    assert [of_each["name"] for of_each in made.scenes[0]["detectors"]] == [
        *("CascadeRCNN-RPN (P3-P7)", "CascadeRCNN-CenterNet")
    ]


def test_what_is_shown_follows_from_the_records_that_there_are(tmp_path):
    project = fakes.project(tmp_path)
    empty = of(project)
    assert empty.scenes == () and "table5 can be shown here: it has no" in empty.missing[0]
    assert "none yet" in empty._repr_html_()
    for run in Study.load(project, "desk").runs(["table5"])[:6]:
        assert (run.seed, run.variant) == (0, fakes.VARIANTS[0])
        records.write(fakes.record(run), project.records("desk"))
    [first, *_] = of(project).records
    thresholds = records.read(project.root / first).spec["test"]["score_threshold"]
    assert thresholds == 0.05  # no other evaluation has a record
    for run in Study.load(project, "gated").runs(["table5"]):
        if run.seed == 0:  # every row and variant has a record then
            records.write(fakes.record(run), project.records("gated"))
    assert {scene["of"] for scene in of(project).scenes} == {
        "Synthetic scenes (table5, scale gated)"
    }


@pytest.fixture
def photographed(tmp_path):
    """A project with two photographs of a free data set and a record that has seen both."""
    project = fakes.project(tmp_path)
    folder, rng = project.root / "datasets" / "highway", np.random.default_rng(0)
    folder.mkdir(parents=True)
    rows = [{"id": k, "file_name": f"{k}.jpg", "width": 640, "height": 480} for k in (7, 9)]
    for row in rows:
        noise = rng.integers(0, 255, (480, 640, 3), np.uint8)
        Image.fromarray(noise).save(folder / row["file_name"])
    item = {"id": 1, "image_id": 9, "category_id": 2, "bbox": [10, 20, 30, 40], "area": 1200}
    tables = {"images": rows, "annotations": [item | {"iscrowd": 0}]}
    tables["categories"] = [{"id": k, "name": f"c{k}"} for k in (1, 2)]
    for split in ("train", "val"):
        (folder / f"{split}.json").write_text(json.dumps(tables))
    run = Study.load(project, "highway").runs(["highway"])[0]
    found = [{"image_id": k, "proposals": [], "detections": []} for k in (7, 9)]
    records.write(run.record(scenes=found, **EMPTY), project.records("highway"))
    return project


def test_photographs_are_shown_small_with_their_objects_and_whose_they_are(photographed):
    made = of(photographed)
    assert [scene["objects"] for scene in made.scenes] == [[], [[10, 20, 40, 60, 1]]]
    assert made.scenes[0]["width"] == 640 and made.scenes[0]["classes"] == ("c1", "c2")
    [(credit, count)] = made.credits.items()
    assert count == 2 and "CC BY 4.0" in credit and "Tidar" in credit
    assert f'data-photographs="2">2 photographs: {credit}' in unescape(made._repr_html_())
    assert all(len(scene["picture"]) < 200_000 for scene in made.scenes)  # of noise


def test_photographs_of_another_file_or_licence_are_not_shown(photographed, monkeypatch):
    known = catalogue.read_catalogue()
    own = {"highway": known["highway"].model_copy(update={"licence": "all rights reserved"})}
    part = {"highway": own["highway"].model_copy(update={"licence": known["coco-val2017"].licence})}
    for changed in (own, part, {}):
        with monkeypatch.context() as patched:
            patched.setattr(catalogue, "read_catalogue", lambda of=changed: of)
            made = of(photographed)
            assert made.scenes == () and "not free to show" in made.missing[1]
    path = photographed.root / "datasets" / "highway" / "val.json"
    before = file_fingerprint(path)
    path.write_text(path.read_text() + " ")
    assert file_fingerprint(path) != before and of(photographed).scenes == ()


@pytest.fixture(scope="module")
def committed():
    return of(Project.at(ROOT))


@pytest.fixture(scope="module")
def page(committed, tmp_path_factory):
    """The address of a page that holds the gallery of the committed records."""
    return page_of(committed, tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def turn(tab, **values):
    """Set controls by how their names begin."""
    for name, value in values.items():
        field = SET.format(name=name.replace("_", " "))
        tab.run(f"var field = {field}; field.value = {value!r}")
        tab.run("field.dispatchEvent(new Event('input', {bubbles: true}))")


def test_the_page_of_the_committed_records_is_below_a_megabyte(page, committed):
    assert committed.scenes and page.stat().st_size < 1e6


@needs_chromium
def test_the_page_scores_and_judges_as_the_study_does(page, tab, committed):
    tab.open(page.as_uri())
    for number, powers in enumerate(FUSIONS.values()):
        scene = committed.scenes[number]
        turn(tab, picture=str(number), threshold="0.2")
        tab.run(f"document.querySelectorAll('.named button')[{number}].click()")
        rows = torch.tensor(scene["detectors"][0]["detections"], dtype=torch.float64)
        scores = fuse(rows[:, 6], rows[:, 5], *powers)
        order = scores.argsort(descending=True, stable=True)[: (scores >= 0.2).sum()]
        told = tab.run(CELLS)
        assert len(told) and [float(row[4]) for row in told] == pytest.approx(
            scores[order].tolist(), abs=1e-3
        )
        held = fusion_scene.Scene(None, torch.tensor(scene["objects"]).double(), rows, 0.5)
        best = torch.cat([rows[order, :5], scores[order, None]], 1)
        assert [row[5] == "right" for row in told] == held.right(best)
        assert {row[1] for row in told} <= {*scene["classes"]}


@needs_chromium
def test_of_proposals_p_of_o_is_the_score_and_powers_rest(page, tab, committed):
    tab.open(page.as_uri())
    turn(tab, boxes="proposals", threshold="0.5")
    likely = [row[4] for row in committed.scenes[0]["detectors"][0]["proposals"] if row[4] >= 0.5]
    assert [float(row[1]) for row in tab.run(CELLS)] == pytest.approx(likely, abs=1e-3)
    assert tab.run("document.querySelectorAll('.gallery input:disabled').length") == 2
    assert tab.run("document.querySelectorAll('.box').length") == len(likely)
    assert tab.run(SAID) in tab.run("document.querySelector('.gallery img').alt")


@needs_chromium
def test_another_picture_keeps_the_detector_and_keys_move_what_is_in_focus(page, tab, committed):
    tab.open(page.as_uri(), PHONE)
    last = committed.scenes[0]["detectors"][-1]["name"]
    turn(tab, detector=last, picture="2", threshold="0.05")
    assert tab.run(SET.format(name="detector") + ".value") == last
    tab.run(SET.format(name="threshold") + ".focus()")
    before = len(tab.run(CELLS))
    for kind in 60 * ("rawKeyDown", "keyUp"):
        key = {"key": "ArrowRight", "windowsVirtualKeyCode": 39}
        tab.ask("Input.dispatchKeyEvent", type=kind, **key)
    assert tab.run(SET.format(name="threshold") + ".value") == "0.65"
    assert len(tab.run(CELLS)) < before
    assert tab.run("document.documentElement.scrollWidth") == PHONE
    assert not tab.events("Runtime.exceptionThrown") + tab.events("Log.entryAdded")


@needs_chromium
def test_a_box_lies_where_it_was_found(page, tab, committed):
    tab.open(page.as_uri())
    scene = committed.scenes[0]
    sides = "['left', 'top', 'width', 'height'].map(s => parseFloat(box.style[s]))"
    shares = tab.run(f"[...document.querySelectorAll('.box')].slice(0, 1).map(box => {sides})[0]")
    first = max(scene["detectors"][0]["detections"], key=lambda row: row[5] * row[6])
    left, top, right, bottom = first[:4]
    expected = np.array([left, top, right - left, bottom - top]) / scene["width"] * 100
    assert shares == pytest.approx(expected.tolist(), abs=1e-3)


def test_the_scenes_are_those_that_were_seen(committed):
    """The best detections lie on objects drawn again, of their class; not all of them are right."""
    hits = []
    for scene in committed.scenes:
        best = max(scene["detectors"][0]["detections"], key=lambda row: row[5] * row[6])
        same = [row[:4] for row in scene["objects"] if row[4] == best[4]]
        boxes = torch.tensor(same).reshape(-1, 4)
        hits.append((box_iou(torch.tensor([best[:4]]), boxes) > 0.5).any().item())
    assert np.mean(hits) > 0.5
