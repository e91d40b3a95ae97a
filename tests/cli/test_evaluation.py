"""`p2s evaluate` and the end of `p2s train`: bad pictures are left out, a stop loses nothing."""

import json
import os
from shutil import copytree

import pytest

from p2s.cli import evaluation
from p2s.data import glyphs
from p2s.data.coco import read_coco
from p2s.measure import coco
from p2s.spec import Glyphs, Test
from tests.support.commands import p2s, words_of_train
from tests.support.tiny import CLASSES, photo

COUNT = 4


@pytest.fixture
def annotations(tmp_path):
    sizes = {"width": 80, "height": 60}
    paths = [photo(tmp_path / "photos" / f"{k}.png", seed=k) for k in range(COUNT)]
    table = {
        "images": [{"id": k, "file_name": p.name, **sizes} for k, p in enumerate(paths)],
        "annotations": [
            {"id": k, "image_id": k, "category_id": k % 3, "bbox": [5 + k, 4, 40, 30], "area": 1200}
            for k in range(COUNT)
        ],
        "categories": [{"id": k, "name": name} for k, name in enumerate(CLASSES)],
    }
    (tmp_path / "a.json").write_text(json.dumps(table))
    return tmp_path / "a.json"


@pytest.fixture
def stop_after(monkeypatch):
    """Lets an evaluation be stopped after so many pictures, or by None no more; lists all."""
    answers, seen = evaluation.answers, []

    def set_to(count):
        def counted(model, batch, test):
            if len(seen) == count:
                raise KeyboardInterrupt
            seen.append(batch)
            return answers(model, batch, test)

        monkeypatch.setattr(evaluation, "answers", counted)
        return seen

    return set_to


def words(model, annotations, *more):
    images = annotations.parent / "photos"
    return "evaluate", "--model", model, "--annotations", annotations, "--images", images, *more


def damage(path):
    """Spoil the middle of a PNG: its beginning and end, which the check looks at, are sound."""
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 200] = b"\x55" * 200
    path.write_bytes(content)


def without(annotations, index):
    table = json.loads(annotations.read_text())
    table["images"].pop(index)
    table["annotations"].pop(index)
    other = annotations.parent / "b.json"
    other.write_text(json.dumps(table))
    return other


@pytest.mark.parametrize("option", ["--output", "--submit"])
def test_a_bad_picture_is_told_and_the_numbers_are_those_of_the_others(model, annotations, option):
    target, wanted = annotations.parent / "found.json", annotations.parent / "wanted.json"
    assert p2s(*words(model, without(annotations, 1), option, wanted)).exit_code == 0
    damage(annotations.parent / "photos" / "1.png")
    done = p2s(*words(model, annotations, option, target))
    assert done.exit_code == 1 and "3 of 4 pictures" in done.stdout
    [line] = done.stderr.splitlines()
    assert "photos/1.png: not a readable image" in line
    found, alike = json.loads(target.read_text()), json.loads(wanted.read_text())
    assert option == "--submit" or found.pop("left_out") == 1
    assert found == alike


def test_without_any_picture_there_are_no_numbers(model, annotations):
    for path in (annotations.parent / "photos").iterdir():
        damage(path)
    done = p2s(*words(model, annotations))
    *bad, last = done.stderr.splitlines()
    assert done.exit_code == 2 and len(bad) == COUNT and "a.json: no picture can be read" in last


@pytest.mark.parametrize("option", ["--output", "--submit"])
def test_stopped_the_same_command_goes_on_to_the_same_numbers(
    model, annotations, stop_after, kept, option
):
    folder = annotations.parent
    assert p2s(*words(model, annotations, option, folder / "whole.json")).exit_code == 0
    assert not [*kept.iterdir()]
    seen = stop_after(2)
    stopped = p2s(*words(model, annotations, option, folder / "cut.json"))
    assert stopped.exit_code == 130 and not (folder / "cut.json").exists()
    stop_after(None)
    os.utime(folder / "photos" / "0.png", (9, 9))
    done = p2s(*words(model, annotations, option, folder / "cut.json"))
    assert done.exit_code == 0 and "2 of 4 pictures are done already" in done.stderr
    assert len(seen) == 2 + 3  # of those kept, one has changed
    assert (folder / "cut.json").read_bytes() == (folder / "whole.json").read_bytes()
    assert not [*kept.iterdir()]


@pytest.mark.parametrize("change", ["test.nms", "pixels"])
def test_of_other_settings_nothing_is_taken_that_is_kept(
    model, annotations, stop_after, tmp_path, change
):
    mine, more = copytree(model, tmp_path / "mine"), ()
    seen = stop_after(2)
    assert p2s(*words(mine, annotations)).exit_code == 130
    stop_after(None)
    if change == "pixels":  # which are no part of the weights
        spec = json.loads((mine / "spec.json").read_text())
        spec["backbone"]["pixels"] = {"std": [99, 99, 99]}
        (mine / "spec.json").write_text(json.dumps(spec))
    else:
        more = "--set", "test.nms=0.5"
    assert p2s(*words(mine, annotations, *more)).exit_code == 0
    assert len(seen) == 2 + COUNT


def test_a_study_has_no_numbers_where_a_picture_is_bad(annotations):
    damage(annotations.parent / "photos" / "1.png")
    data = read_coco(annotations, annotations.parent / "photos")
    seen = []

    class Stub(evaluation.nn.Module):
        def set_test(self, test):
            pass

        def detect(self, inputs):
            seen.append(inputs)
            return [[evaluation.Instances((60, 80))]] * 2

    with pytest.raises(ValueError, match="1.png: not a readable image"):
        coco.detect(Stub(), data, Test())
    assert len(seen) == 1


@pytest.mark.parametrize("watched", [(), ("--validate-every", 1)])
def test_a_training_ends_with_metrics_of_the_good_pictures(tmp_path, watched):
    files = glyphs.prepare(Glyphs(train=4, val=3, size=64, classes=2), tmp_path / "glyphs")
    damage(photo(tmp_path / "bad.png", (64, 64)))
    (tmp_path / "bad.png").replace(min(files.images.glob("val/*")))
    more = "--set", "recipe.iterations=2", *watched
    done = p2s(*words_of_train(files, tmp_path / "out", *more))
    assert done.exit_code == 1, done.output
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert "AP over 2 of 3 pictures" in done.stdout
    # Once at the end, and once of all that is asked along the training.
    assert done.stderr.count("not a readable image") == (2 if watched else 1)
    assert ('"AP"' in (tmp_path / "out" / "curve.json").read_text()) == bool(watched)
    assert metrics["left_out"] == 1 and (tmp_path / "out" / "samples.png").exists()
