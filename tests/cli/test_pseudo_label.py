"""`p2s pseudo-label`, and a training on what it writes."""

import json
import os

import pytest

from p2s.data import health
from tests.support.commands import p2s, words_of_train
from tests.support.tiny import CLASSES, photo


@pytest.fixture
def folder(photos):
    return photos[0].parent


@pytest.fixture
def words(model, folder):
    """Of a command that leaves its output to the caller; a threshold that many scores exceed."""
    return ("pseudo-label", "--model", model, "--images", folder, "--score-above", 0.2)


def written(folder):
    return json.loads((folder / "pseudo_labels.json").read_text())


def test_what_is_found_above_the_threshold_is_a_sound_data_set(words, folder, tmp_path):
    done = p2s(*words, "--output", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert done.output == f"{tmp_path / 'out' / 'pseudo_labels.json'}: 4 of 4 pictures\n"
    assert health.check(tmp_path / "out" / "pseudo_labels.json", folder) == []
    tables = written(tmp_path / "out")
    assert [image["file_name"] for image in tables["images"]] == [f"{k}.png" for k in range(4)]
    assert [row["name"] for row in tables["categories"]] == list(CLASSES)
    scores = [row["score"] for row in tables["annotations"]]
    assert scores and min(scores) > 0.2
    assert tables["info"]["pseudo_labels"]["test.score_threshold"] == 0.2
    assert not [*(tmp_path / "out").glob("*.png")]  # nothing is drawn


def test_a_higher_threshold_leaves_those_above_it(words, tmp_path):
    few, many = tmp_path / "few", tmp_path / "many"
    assert p2s(*words, "--output", many).exit_code == 0
    scores = sorted(row["score"] for row in written(many)["annotations"])
    middle = scores[len(scores) // 2]
    assert p2s(*words[:-1], middle, "--output", few).exit_code == 0
    left = sorted(row["score"] for row in written(few)["annotations"])
    assert left == pytest.approx([score for score in scores if score > middle])


def test_stopped_it_goes_on_and_a_changed_picture_is_done_again(
    words, folder, tmp_path, stop_after
):
    assert p2s(*words, "--output", tmp_path / "whole").exit_code == 0
    added = stop_after(2)
    assert p2s(*words, "--output", tmp_path / "cut").exit_code == 130
    stop_after(None)
    assert p2s(*words, "--output", tmp_path / "cut").exit_code == 0
    assert len(added) == 4 and written(tmp_path / "cut") == written(tmp_path / "whole")
    photo(folder / "1.png", (64, 64), 9)
    assert p2s(*words, "--output", tmp_path / "cut").exit_code == 0
    assert len(added) == 5
    assert written(tmp_path / "cut")["images"][1]["width"] == 64


@pytest.mark.parametrize(
    "name, told",
    [
        *(("C:x.png", "leads out"), ("\\x.png", "leads out"), ("..\\x.png", "leads out")),
        *((os.fsdecode(b"\xff.png"), "not UTF-8"), ("a\\x.png", ""), ("%20.png", "")),
    ],
)
def test_what_train_refuses_is_left_out_and_told_before_the_work(
    words, folder, tmp_path, name, told
):
    photo(folder / "inner" / "x.png").rename(folder / name)
    done = p2s(*words, "--output", tmp_path / "out")
    assert done.exit_code == bool(told) and len(done.stderr.splitlines()) == bool(told)
    assert told in done.stderr and f"{5 - bool(told)} of 5 pictures" in done.stdout
    assert len(written(tmp_path / "out")["images"]) == 5 - bool(told)
    assert health.check(tmp_path / "out" / "pseudo_labels.json", folder) == []


def test_a_link_out_of_the_folder_is_left_out_and_one_within_it_is_not(words, folder, tmp_path):
    (folder / "far.png").symlink_to(photo(tmp_path / "elsewhere.png"))
    (folder / "near.png").symlink_to(photo(folder / "inner" / "x.png"))
    done = p2s(*words, "--output", tmp_path / "out")
    assert done.exit_code == 1 and "5 of 6 pictures" in done.stdout
    assert done.stderr.startswith(f"{folder / 'far.png'}: left out, p2s train refuses it: ")
    assert health.check(tmp_path / "out" / "pseudo_labels.json", folder) == []


def annotated(folder, tmp_path, categories):
    images = [{"id": 7, "file_name": "0.png", "width": 80, "height": 60}]
    boxes = [{"id": 1, "image_id": 7, "category_id": 5, "bbox": [1, 2, 30, 20]}]
    tables = {"images": images, "annotations": boxes, "categories": categories}
    path = tmp_path / "own.json"
    path.write_text(json.dumps(tables))
    return path


class Files:
    """The files of a training, as tests.support.commands takes them."""

    def __init__(self, annotations, images):
        self.train = self.val = annotations
        self.images = images


def trains(words, folder, tmp_path, categories):
    assert p2s(*words, "--output", tmp_path / "out").exit_code == 0
    own = annotated(folder, tmp_path, categories)
    pseudo = ("--pseudo", tmp_path / "out" / "pseudo_labels.json", "--pseudo-images", folder)
    return p2s(*words_of_train(Files(own, folder), tmp_path / "trained", *pseudo))


def test_a_detector_trains_on_both_in_the_classes_of_the_first(words, folder, tmp_path):
    categories = [{"id": 5 + k, "name": name} for k, name in enumerate(reversed(CLASSES))]
    done = trains(words, folder, tmp_path, categories)
    assert done.exit_code == 0, done.output
    assert "pseudo-labelled: 80% of images, " in done.output
    kept = json.loads((tmp_path / "trained" / "spec.json").read_text())["data"]
    assert kept["kind"] == "self_training" and kept["pseudo"].endswith("pseudo_labels.json")
    assert json.loads((tmp_path / "trained" / "classes.json").read_text()) == CLASSES[::-1]


def test_categories_of_their_own_are_a_line(words, folder, tmp_path):
    done = trains(words, folder, tmp_path, [{"id": 5, "name": "owl"}])
    assert done.exit_code == 2
    [line] = [line for line in done.stderr.splitlines() if line.startswith("p2s: ")]
    assert "pseudo_labels.json: categories: " in line and "(valid: owl)" in line


@pytest.mark.parametrize("given", ["--pseudo", "--pseudo-images"])
def test_one_of_the_two_options_alone_is_a_line(words, folder, tmp_path, given):
    own = annotated(folder, tmp_path, [{"id": 5, "name": "owl"}])
    value = own if given == "--pseudo" else folder
    done = p2s(*words_of_train(Files(own, folder), tmp_path / "trained", given, value))
    assert done.exit_code == 2 and "(valid: both, or neither)" in done.stderr
