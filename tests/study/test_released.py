"""Released weights: fetched from a server, made a model, evaluated by a study, untrained."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml
from PIL import Image

from p2s.data import catalogue
from p2s.data.catalogue import File, Source
from p2s.files import file_sha256
from p2s.report.notebook import Page
from p2s.report.results import results
from p2s.study import status, train_eval
from p2s.study.project import TRAIN_EVAL, Project
from p2s.study.study import Study
from tests.support import ROOT
from tests.support.commands import p2s
from tests.support.released import SMALL, small, write
from tests.support.server import serving

NAME = "CenterNet2_R50_1x"
ROWS = ("CascadeRCNN-CenterNet w. prob.", "CenterNet2, 64")
OTHER = {"about": "weights", "licence": "none", "page": "https://page"}
BOXES = ([9, 9, 40, 30], [20, 30, 25, 25])


def annotated(folder):
    """Two images of one object each, with four classes."""
    folder.mkdir(parents=True)
    for number in (1, 2):
        Image.new("RGB", (96, 64), (200, 30 * number, 60)).save(folder / f"{number}.png")
    images = [{"id": k, "file_name": f"{k}.png", "width": 96, "height": 64} for k in (1, 2)]
    boxes = [
        {"id": k, "image_id": k, "category_id": k, "bbox": box, "area": 900, "iscrowd": 0}
        for k, box in enumerate(BOXES, 1)
    ]
    categories = [{"id": k, "name": name} for k, name in enumerate("abcd")]
    tables = {"categories": categories, "images": images, "annotations": boxes}
    (folder / "a.json").write_text(json.dumps(tables))


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A project at a small scale paper, with a server of small released weights."""
    for name in ("experiments", "notebooks"):
        (tmp_path / name).mkdir()
    annotated(tmp_path / "datasets" / "a")
    place = {"train": "datasets/a/a.json", "val": "datasets/a/a.json", "images": "datasets/a"}
    sizes = {name: SMALL[name] for name in ("backbone", "first_stage", "second_stage")}
    changes = {**sizes, "data": {"kind": "coco", **place}, "test": {"short_edge": 64}}
    scale = {"about": "-", "seeds": [0], "minutes_a_training": 1, "changes": changes}
    scales = {"paper": scale | {"data_sets": {"released": {}}}, "desk": scale}
    (tmp_path / "experiments" / "scales.yaml").write_text(yaml.safe_dump(scales))
    table = yaml.safe_load((ROOT / "experiments" / "released.yaml").read_text())
    table |= {"rows": [row for row in table["rows"] if row["name"] in ROWS], "contrasts": []}
    table["variants"] = table["variants"][1:]
    (tmp_path / "experiments" / "released.yaml").write_text(yaml.safe_dump(table))
    for path in (TRAIN_EVAL, "experiments/executors.yaml"):
        (tmp_path / path).write_text((ROOT / path).read_text())
    body = write(small("CenterNet2"), tmp_path / "file.pth").read_bytes()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("P2S_CACHE", raising=False)
    with serving(files={"file": body}) as site:
        file = File(url=f"{site.url}file", to=f"datasets/released/{NAME}.pth")
        source = Source(**OTHER, files=[file], detector="CenterNet2", classes="datasets/a/a.json")
        monkeypatch.setattr(catalogue, "read_catalogue", lambda: {NAME: source})
        yield site


def study():
    return Study.load(Project.at(), "paper")


def fetched(*words):
    done = p2s("fetch", "CenterNet2", *words)
    assert done.exit_code == 0, done.output
    return done.output


def test_weights_that_are_missing_are_told_with_their_command_before_any_work(site):
    done = p2s("study", "run", "--scale", "paper", "--only", "released")
    assert done.exit_code == 2
    assert done.stderr == f"p2s: released weights are missing: `p2s fetch {NAME}`\n"
    assert "0 trainings, 2 evaluations to run" in done.stdout
    assert not (study().project.cache / "runs").exists()


def test_a_study_evaluates_what_was_fetched_and_its_records_say_what_it_was(site):
    fetched()
    with ThreadPoolExecutor(1) as executor:
        assert status.run(study(), executor, only=["released"]) == 0
    found = [record for _, record in results(study(), "released").pairs]
    model = study().project.root / "datasets" / "released" / NAME
    assert {record.weights for record in found} == {file_sha256(model / "model.safetensors")}
    origin = {"file": f"{NAME}.pth", "sha256": file_sha256(model.with_suffix(".pth"))}
    assert [record.findings["released"] for record in found] == [origin | {"as": "CenterNet2"}] * 2
    assert {(record.training_id, record.train_fingerprint) for record in found} == {
        (study().runs()[0].training_id, "")
    }
    assert len({record.id for record in found}) == 2
    assert all(record.metrics["AP"] is not None and record.curve == {} for record in found)
    assert {record.timings["train_s"] for record in found} == {None}
    per_image = [record.metrics["proposals_per_image"] for record in found]
    assert per_image[0] > per_image[1] == 64
    assert not [*(study().project.cache / "weights").glob("*")]  # nothing was trained
    of_paper = results(study(), "released").of("AP")["paper"].tolist()
    assert of_paper == [42.9, 42.1]
    assert p2s("study", "run", "--scale", "paper").output.endswith("2 of 2 runs are done\n")
    page = Page(study(), "released")  # in which no record has a curve
    page.answer(), page.evidence()


def test_a_command_evaluates_a_fetched_detector_by_name_as_the_study_does(site):
    assert f"{NAME}: --model " in fetched() and fetched().count("  there") == 1
    data = ("--annotations", "datasets/a/a.json", "--images", "datasets/a")
    given = ("test.short_edge=64", "test.fusion=product", "test.score_threshold=0")
    words = [word for each in given for word in ("--set", each)]
    done = p2s("evaluate", "--model", "CenterNet2", *data, *words, "--output", "out.json")
    assert done.exit_code == 0, done.output
    metrics = json.loads((study().project.root / "out.json").read_text())
    run = study().find("released", ROWS[0], "all scores", 0)
    pair = train_eval.load_data(run, study().project)
    model, curve, seconds = train_eval.trained(run, study().project, *pair)
    found = train_eval.measured(run, study().project, model, pair[1])["metrics"]
    assert found["AP"] == metrics["AP"] and (curve, seconds) == ({}, None)
    assert found["proposals_per_image"] == metrics["proposals_per_image"] > 0


def test_other_weights_are_other_runs_and_another_net_is_refused(site):
    before = {run.evaluation_id for run in study().runs()}
    fetched()
    here = {run.evaluation_id for run in study().runs()}
    folder = study().project.root / "datasets" / "released" / NAME
    told = json.loads((folder / "imported.json").read_text())
    (folder / "imported.json").write_text(json.dumps(told | {"sha256": "0" * 64}))
    [run, *_] = study().runs()
    assert not before & here and not here & {run.evaluation_id for run in study().runs()}
    data = train_eval.load_data(run, study().project)
    with pytest.raises(ValueError, match="holds another training"):
        train_eval.trained(run, study().project, *data)
    (folder / "imported.json").write_text(json.dumps(told))
    other = run.spec.changed({"backbone": {"stride_in": "3x3"}})
    object.__setattr__(run, "spec", other)
    with pytest.raises(
        ValueError, match="not the CenterNet2 of CascadeRCNN-CenterNet w. .*: backbone$"
    ):
        train_eval.trained(run, study().project, *data)


def test_a_model_that_is_not_fetched_yet_or_no_model_is_told_in_a_line(site):
    data = ("--annotations", "datasets/a/a.json", "--images", "datasets/a")
    done = p2s("evaluate", "--model", "CenterNet2", *data)
    assert done.exit_code == 2 and f"is not there yet: `p2s fetch {NAME}`" in done.output
    done = p2s("evaluate", "--model", "CenterNet3", *data)
    assert done.exit_code == 2 and "CenterNet3: no folder, and no name of a model" in done.output


def test_no_other_scale_has_released_weights_and_paper_values_are_published():
    real = Study.load(Project.at(ROOT), "paper")
    assert {run.weights is None for run in real.asked(["released"])} == {False}
    for scale in real.scales.keys() - {"paper"}:
        assert not real.at(scale).asked(["released"])
    sources = catalogue.read_catalogue()
    for row in real.experiments["released"].rows:
        assert sources[row.weights].detector == row.detector
    frame = results(real, "released").main.of("AP").set_index("row")["paper"]
    assert frame["CascadeRCNN-CenterNet w. prob."] == 42.9 and frame["CenterNet2, 64"] == 42.1
    assert frame["RetinaNet"] == 37.4 and frame.notna().all()
