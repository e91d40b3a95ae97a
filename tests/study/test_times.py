"""Times of a plan: by length of the training, by what records say, by a measured step."""

import json

import pytest
import yaml

from p2s.data.catalogue import read_catalogue
from p2s.study import records, status, times
from p2s.study.study import Study
from p2s.study.times import Pace
from tests.support import stub_study
from tests.support.stub_study import SCALE, record_of

LENGTHS = [{"name": "half", "length": 0.5}, {"name": "whole"}, {"name": "double", "length": 2}]


@pytest.fixture
def project(tmp_path, monkeypatch):
    return stub_study.project(tmp_path, monkeypatch)


def write_scale(project, **changes):
    scale = SCALE | changes
    (project.experiments / "scales.yaml").write_text(yaml.safe_dump({"tiny": scale}))


def lengthen(project):
    """One detector, trained in three lengths."""
    path = project.experiments / "t.yaml"
    table = yaml.safe_load(path.read_text())
    table |= {"rows": table["rows"][:1], "variants": LENGTHS}
    path.write_text(yaml.safe_dump(table))


def planned(project, measure=None):
    return status.plan(Study.load(project, "tiny"), measure=measure)


def test_a_variants_length_multiplies_a_guess(project):
    lengthen(project)
    assert planned(project).training_s == pytest.approx(3600 * (0.5 + 1 + 2))
    write_scale(project, changes=SCALE["changes"] | {"recipe": {"iterations": 300, "warmup": 3}})
    assert planned(project).training_s == pytest.approx(3600 * (0.5 + 1 + 2))


def test_a_record_of_one_length_tells_of_the_others(project):
    lengthen(project)
    run = Study.load(project, "tiny").find("t", "good", "half", 0)
    ids = {"id": run.evaluation_id, "training_id": run.training_id, "train_fingerprint": "d"}
    names = {"detector": run.detector, "scale": "tiny", "seed": 0, "val_fingerprint": "e"}
    spec = run.spec.model_dump(mode="json")
    timings = {"train_s": 100.0, "evaluate_s": 7.0}
    record = records.Record(**ids, **names, spec=spec, metrics={}, timings=timings)
    records.write(record, project.records("tiny"))
    ahead = planned(project)
    assert ahead.training_s == pytest.approx(200 + 400) and ahead.sources == (times.MEASURED,)
    assert ahead.evaluation_s == pytest.approx(2 * (7 + status.START_S))
    for part, size in (("recipe", {"batch": 2}), ("backbone", {"width": 8})):
        changes = SCALE["changes"]
        write_scale(project, changes=changes | {part: changes.get(part, {}) | size})
        assert planned(project).sources == (times.GUESSED,)  # of other sizes it tells nothing


def test_released_weights_tell_of_evaluations_alone(project):
    record_of(project, "good", timings={"train_s": None, "evaluate_s": 7.0})
    ahead = planned(project)
    assert ahead.training_s == 2 * 3600  # `class` shares the training of `good`
    other = 3600 * times.EVALUATION_SHARE
    assert ahead.evaluation_s == pytest.approx(7 + other + 2 * status.START_S)


def test_a_scale_may_have_minutes_of_an_evaluation(project):
    write_scale(project, minutes_an_evaluation=2)
    assert planned(project).evaluation_s == pytest.approx(3 * (120 + status.START_S))


def test_a_measured_pace_is_asked_once_a_kind_and_records_are_not(project, capsys):
    record_of(project, "bad", timings={"train_s": 90.0, "evaluate_s": 10.0})
    write_scale(project, changes=SCALE["changes"] | {"recipe": {"iterations": 300, "warmup": 3}})
    asked = []

    def measure(spec):
        asked.append(spec.second)
        return Pace(step=2.0, image=3.0, where="a step measured on an abacus")

    ahead = planned(project, measure)
    assert asked == ["cascade", "faster"]  # of two rows of CenterNet2 one
    assert ahead.training_s == pytest.approx(2 * 300 * 2.0)
    assert ahead.evaluation_s == pytest.approx(3 * (3.0 + status.START_S))
    assert "(a step measured on an abacus)" in capsys.readouterr().out


def test_images_are_those_of_the_file_or_as_published(project):
    of_coco = {"kind": "coco", "images": ".", "train": "a.json"}
    val = "datasets/coco/annotations/instances_val2017.json"
    for name, images in ((val, 5000), ("b.json", 3)):
        data = of_coco | {"val": name}
        write_scale(project, changes={"data": data, "backbone": SCALE["changes"]["backbone"]})
        rows = {"images": [{"id": k} for k in range(3)], "categories": [{"id": 1}]}
        (project.root / "b.json").write_text(json.dumps(rows))
        ahead = planned(project, lambda spec: Pace(1.0, 2.0, "here"))
        assert ahead.evaluation_s == pytest.approx(3 * (2 * images + status.START_S))
    [counts] = [
        counts
        for file in read_catalogue()["coco-annotations"].files
        for place, counts in file.places(project.root).items()
        if place == project.root / val
    ]
    assert counts["images"] == 5000
