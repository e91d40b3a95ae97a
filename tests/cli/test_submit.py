"""`p2s evaluate --submit`: the file that COCO's server takes."""

import json

import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tests.support.commands import p2s
from tests.support.tiny import CLASSES, photo


@pytest.fixture
def annotations(tmp_path):
    """Of four pictures, with ids of their own and classes in another order than the model's."""
    images, rows = [], []
    for k in range(4):
        photo(tmp_path / "photos" / f"{k}.png", seed=k)
        images.append({"id": 100 - k, "file_name": f"{k}.png", "width": 80, "height": 60})
        box = {"bbox": [5 + k, 4, 40, 30], "area": 1200, "iscrowd": 0}
        rows.append({"id": k + 1, "image_id": 100 - k, "category_id": 10 * (k % 3) + 3, **box})
    names = [{"id": 10 * k + 3, "name": name} for k, name in enumerate(reversed(CLASSES))]
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"images": images, "annotations": rows, "categories": names}))
    return path


def words(model, annotations, *more):
    images = annotations.parent / "photos"
    return (
        "evaluate",
        "--model",
        model,
        "--images",
        images,
        "--annotations",
        annotations,
        *more,
    )


def without_annotations(path):
    tables = json.loads(path.read_text())
    del tables["annotations"]  # as in COCO's file of test-dev
    (path.parent / "test.json").write_text(json.dumps(tables))
    return path.parent / "test.json"


def annotate_the_best(path, rows):
    """Let what the model is surest of in each picture be nearly true."""
    tables = json.loads(path.read_text())
    for truth in tables["annotations"]:
        [best, *_] = [row for row in rows if row["image_id"] == truth["image_id"]]
        x, y, width, height = best["bbox"]
        box = [x, y, 0.9 * width, 0.9 * height]
        truth |= {"bbox": box, "area": box[2] * box[3], "category_id": best["category_id"]}
    path.write_text(json.dumps(tables))


def test_it_is_read_by_pycocotools_and_has_the_numbers_of_an_evaluation(model, annotations):
    target, numbers = annotations.parent / "results.json", annotations.parent / "numbers.json"
    done = p2s(*words(model, without_annotations(annotations), "--submit", target))
    assert done.exit_code == 0, done.output
    rows = json.loads(target.read_text())
    assert rows and done.output == f"{target}: {len(rows)} detections in 4 pictures\n"
    annotate_the_best(annotations, rows)
    truth = COCO(str(annotations))
    scorer = COCOeval(truth, truth.loadRes(str(target)), "bbox")
    for step in (scorer.evaluate, scorer.accumulate, scorer.summarize):
        step()
    assert p2s(*words(model, annotations, "--output", numbers)).exit_code == 0
    ours = json.loads(numbers.read_text())
    assert ours["AP"] == pytest.approx(100 * scorer.stats[0], abs=0.01)
    assert ours["AR100"] == pytest.approx(100 * scorer.stats[8], abs=0.01) and ours["AR100"] > 0


def test_what_is_found_of_classes_that_the_file_lacks_is_left_out_and_told(model, annotations):
    target, path = annotations.parent / "results.json", without_annotations(annotations)
    assert p2s(*words(model, path, "--submit", target)).exit_code == 0
    whole, tables = json.loads(target.read_text()), json.loads(path.read_text())
    lost = tables["categories"].pop(0)
    path.write_text(json.dumps(tables))
    done = p2s(*words(model, path, "--submit", target))
    left = [row for row in whole if row["category_id"] != lost["id"]]
    assert done.exit_code == 0 and json.loads(target.read_text()) == left
    [line] = done.stderr.splitlines()
    assert line == (
        f"{path}: categories: {lost['name']} not there: "
        f"{len(whole) - len(left)} of {len(whole)} detections are left out"
    )


def test_without_it_annotations_are_asked_for(model, annotations):
    done = p2s(*words(model, without_annotations(annotations)))
    assert done.exit_code == 2 and "annotations" in done.stderr


def test_numbers_are_not_asked_for_beside_it(model, annotations):
    target = annotations.parent / "results.json"
    done = p2s(*words(model, annotations, "--submit", target, "--errors", annotations.parent))
    assert done.exit_code == 2 and "--submit with --output or --errors" in done.stderr
    assert not target.exists()


def test_pictures_that_are_not_there_are_told_before_any_work(model, annotations):
    (annotations.parent / "photos" / "2.png").unlink()
    target = annotations.parent / "results.json"
    done = p2s(*words(model, without_annotations(annotations), "--submit", target))
    assert done.exit_code == 2 and "2.png" in done.stderr and not target.exists()
