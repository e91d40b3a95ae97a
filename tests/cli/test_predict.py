"""`p2s predict`: folders and patterns, bad pictures, stopped and gone on with, COCO's results."""

import io
import json
import re
from contextlib import redirect_stdout
from shutil import copytree

import pytest
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from p2s.deploy.journal import Journal
from tests.support.commands import p2s
from tests.support.tiny import CLASSES, photo


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def tables(photos):
    """COCO's, of these pictures and all classes, without annotations, as those of test-dev."""
    sizes = [Image.open(path).size for path in photos]
    rows = [
        {"id": k, "file_name": path.name, "width": width, "height": height}
        for k, (path, (width, height)) in enumerate(zip(photos, sizes, strict=True))
    ]
    return {"images": rows, "categories": [{"id": k, "name": n} for k, n in enumerate(CLASSES)]}


def test_a_folder_is_detected_in_and_every_picture_drawn(model, photos, tmp_path):
    done = p2s("predict", "--model", model, tmp_path / "photos", "--output", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert done.output == f"{tmp_path / 'out' / 'detections.json'}: 4 of 4 pictures\n"
    rows = json.loads((tmp_path / "out" / "detections.json").read_text())
    assert [row["file"] for row in rows] == [str(path) for path in photos]
    assert all((tmp_path / "out" / row["picture"]).exists() for row in rows)
    assert all(row["detections"] for row in rows)


def test_stopped_the_same_command_goes_on_and_ends_the_same(model, photos, tmp_path, stop_after):
    words = ("predict", "--model", model, tmp_path / "photos", "--batch", 2)
    assert p2s(*words, "--output", tmp_path / "whole").exit_code == 0
    added = stop_after(2)
    stopped = p2s(*words, "--output", tmp_path / "cut")
    assert stopped.exit_code == 130 and "the same command goes on" in stopped.output
    assert "detections.json" not in contents(tmp_path / "cut")
    stop_after(None)
    done = p2s(*words, "--output", tmp_path / "cut")
    assert done.exit_code == 0 and "2 of 4 pictures are done already" in done.stderr
    assert len(added) == 4
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_bad_pictures_are_told_and_left_out_and_the_exit_code_is_1(model, photos, tmp_path):
    for name in ("a.jpg", "z.png"):
        (tmp_path / "photos" / name).write_text("no image")
    words = (
        "predict",
        "--model",
        model,
        f"{tmp_path}/photos/*",
        "--output",
        tmp_path / "out",
    )
    for _ in range(2):
        done = p2s(*words)
        assert done.exit_code == 1 and "4 of 6 pictures" in done.stdout
        told = [line for line in done.stderr.splitlines() if "not a readable image" in line]
        assert [line.split(": ")[0].rpartition("/")[2] for line in told] == ["a.jpg", "z.png"]
        assert len(json.loads((tmp_path / "out" / "detections.json").read_text())) == 4
    photo(tmp_path / "photos" / "z.png")
    (tmp_path / "photos" / "a.jpg").unlink()
    assert p2s(*words).exit_code == 0


def test_of_several_names_a_bad_one_is_told_and_the_others_are_detected_in(model, photos, tmp_path):
    names = (photos[0], tmp_path / "none.png", f"{tmp_path}/*.gif", photos[1])
    done = p2s("predict", "--model", model, *names, "--output", tmp_path / "out")
    assert done.exit_code == 1 and "2 of 4 pictures" in done.stdout
    assert [line.rpartition("/")[2][:8] for line in done.stderr.splitlines()][:1] == ["none.png"]
    rows = json.loads((tmp_path / "out" / "detections.json").read_text())
    assert [row["file"] for row in rows] == [str(path) for path in photos[:2]]
    nothing = p2s("predict", "--model", model, *names[1:3], "--output", tmp_path / "no")
    assert nothing.exit_code == 2 and not (tmp_path / "no").exists()
    assert all(f"{name}: no " in nothing.stderr for name in names[1:3])


def test_what_is_called_a_picture_in_a_folder_and_is_none_is_told(model, photos, tmp_path):
    (tmp_path / "photos" / "folder.png").mkdir()
    (tmp_path / "photos" / "link.png").symlink_to("nowhere")
    (tmp_path / "photos" / "inner").mkdir()
    done = p2s("predict", "--model", model, tmp_path / "photos", "--output", tmp_path / "out")
    assert done.exit_code == 1 and "4 of 6 pictures" in done.stdout
    folder, link = done.stderr.splitlines()
    assert "folder.png: not a readable image: a folder" in folder
    assert "link.png: not a readable image: No such file" in link


def test_a_picture_that_was_good_and_is_bad_has_no_row(model, photos, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(tables(photos)))
    out = tmp_path / "out"
    words = ("predict", "--model", model, *photos, "--output", out, "--coco", tmp_path / "a.json")
    assert p2s(*words).exit_code == 0
    photos[1].write_text("no image")
    done = p2s(*words)
    assert done.exit_code == 1 and "3 of 4 pictures" in done.stdout
    left = [row["file"] for row in json.loads((out / "detections.json").read_text())]
    assert left == [str(path) for path in photos if path != photos[1]]
    results = json.loads((out / "coco_results.json").read_text())
    assert {row["image_id"] for row in results} == {0, 2, 3}


def test_a_picture_that_is_removed_before_it_is_drawn_is_left_out(
    model, photos, tmp_path, monkeypatch
):
    add = Journal.add

    def removing(journal, found):
        photos[1].unlink(missing_ok=True)
        add(journal, found)

    monkeypatch.setattr(Journal, "add", removing)
    done = p2s("predict", "--model", model, *photos, "--batch", 4, "--output", tmp_path / "out")
    assert done.exit_code == 1 and "3 of 4 pictures" in done.stdout
    assert done.stderr.startswith(f"{photos[1]}: not a readable image: No such file")


def test_drawings_of_other_pictures_stay_and_are_told(model, photos, tmp_path):
    out = tmp_path / "out"
    words = ("predict", "--model", model, "--output", out)
    assert p2s(*words, *photos[:2]).stderr == ""
    before = contents(out)
    done = p2s(*words, *photos[2:])
    assert (
        done.exit_code == 0
        and "drawings of earlier runs stay, 000-0.png and 1 more;" in done.stderr
    )
    assert "detections.json has this run's alone" in done.stderr
    drawn = [row["picture"] for row in json.loads((out / "detections.json").read_text())]
    assert drawn == ["002-2.png", "003-3.png"]
    assert all(contents(out)[name] == before[name] for name in ("000-0.png", "001-1.png"))
    assert "earlier" not in p2s(*words, *photos).stderr


@pytest.mark.parametrize("name", ["a\nb", "\x1b[31m", "\x9b"])
def test_a_terminal_obeys_no_name(model, photos, tmp_path, name):
    words = ("predict", "--model", model, "--output", tmp_path / "out")
    assert p2s(*words, photos[0].rename(tmp_path / f"{name}.png")).exit_code == 0
    (tmp_path / f"bad {name}.png").write_text("no image")
    done = p2s(*words, tmp_path / f"bad {name}.png", tmp_path / f"no {name}", photos[1])
    assert done.exit_code == 1 and name not in done.stderr
    assert done.stderr.count(name.encode("unicode_escape").decode()) == 3
    assert len(done.stderr.splitlines()) == 3


def test_results_of_coco_have_the_ids_of_the_annotations(model, photos, tmp_path):
    """Truth made of each picture's best detection is found, by the ids of its own file."""
    words = ("predict", "--model", model, tmp_path / "photos", "--output", tmp_path / "out")
    assert p2s(*words).exit_code == 0
    rows = json.loads((tmp_path / "out" / "detections.json").read_text())
    ids = dict(zip(reversed(CLASSES), (3, 40, 90), strict=True))
    truth = {"images": [], "categories": [{"id": k, "name": n} for n, k in ids.items()]}
    truth["annotations"] = []
    for number, row in enumerate(rows):
        name, best = row["file"].rpartition("/")[2], row["detections"][0]
        size = {"width": row["width"], "height": row["height"]}
        truth["images"].append({"id": 700 - number, "file_name": f"photos/{name}", **size})
        (x1, y1, x2, y2), item = best["box"], {"id": number + 1, "iscrowd": 0, "area": 900}
        item |= {"image_id": 700 - number, "category_id": ids[best["class"]]}
        truth["annotations"].append(item | {"bbox": [x1, y1, x2 - x1, y2 - y1]})
    (tmp_path / "a.json").write_text(json.dumps(truth))
    tested = {name: table for name, table in truth.items() if name != "annotations"}
    (tmp_path / "test.json").write_text(json.dumps(tested))  # as those of test-dev
    assert p2s(*words, "--coco", tmp_path / "test.json").exit_code == 0
    from_pictures = (tmp_path / "out" / "coco_results.json").read_text()
    assert p2s(*words, "--coco", tmp_path / "a.json").exit_code == 0
    assert from_pictures == (tmp_path / "out" / "coco_results.json").read_text()
    with redirect_stdout(io.StringIO()):
        theirs = COCO(str(tmp_path / "a.json"))
        found = theirs.loadRes(str(tmp_path / "out" / "coco_results.json"))
        judged = COCOeval(theirs, found, "bbox")
        judged.evaluate(), judged.accumulate(), judged.summarize()
    assert len(found.anns) == sum(len(row["detections"]) for row in rows)
    assert judged.stats[8] == 1.0  # recall


@pytest.mark.parametrize(
    "change, told",
    [
        (lambda t: t["images"].pop(), "images: none whose file_name .*3.png ends with"),
        (lambda t: t["images"][1].update(file_name="0.png"), "images: 2 whose file_name .*0.png"),
        (lambda t: t.pop("categories"), "categories: missing"),
        (lambda t: t.update(images={"a": 1}), "images: not a list of objects"),
        (lambda t: t["images"][0].pop("width"), "image 0: width: missing"),
        (lambda t: t["images"][0].update(width="80"), "image 0: width: '80', a text"),
        (lambda t: t["images"][0].update(width=79), "image 0: .* is 80 x 60, .* says 79 x 60"),
        (lambda t: t["images"][0].update(id="7"), "id: '7', a text"),
        (lambda t: t["images"][1].update(id=True), "id: True .valid: a whole number"),
        (lambda t: t["images"][1].update(file_name=5), "image 1: file_name: 5 .valid: a path"),
        (lambda t: t["categories"][1].update(id=True), "category number 1: id: True"),
        (lambda t: t["categories"][1].update(id="1"), "category number 1: id: '1', a text"),
        (lambda t: t.update(categories=[{"id": 0, "name": "yak"}]), "yak: none is the model's"),
    ],
)
def test_annotations_of_other_pictures_or_classes_are_told(model, photos, tmp_path, change, told):
    table = tables(photos)
    change(table)
    (tmp_path / "a.json").write_text(json.dumps(table))
    words = ("predict", "--model", model, *photos, "--output", tmp_path / "out")
    done = p2s(*words, "--coco", tmp_path / "a.json")
    lines = done.stderr.splitlines()
    assert done.exit_code == 2 and all("a.json: " in line for line in lines)
    assert re.search(told, done.stderr) and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t["images"][0].update(file_name="photos\\0.png"),
        lambda t: t["images"][0].update(file_name="PHOTOS/%30.PNG"),
        lambda t: t["images"][0].update(width=80.0),
        lambda t: t["categories"].append({"id": 9, "name": "yak"}),
        lambda t: t["categories"].pop(0),
    ],
)
def test_what_evaluate_takes_has_results_of_the_same_detections(model, photos, tmp_path, change):
    table = tables(photos)
    change(table)
    (tmp_path / "a.json").write_text(json.dumps(table))
    words = ("predict", "--model", model, *photos, "--output", tmp_path / "out")
    done = p2s(*words, "--coco", tmp_path / "a.json")
    assert done.exit_code == 0, done.output
    rows = json.loads((tmp_path / "out" / "detections.json").read_text())
    names = {row["name"]: row["id"] for row in table["categories"]}
    found = [(k, one["class"]) for k, row in enumerate(rows) for one in row["detections"]]
    wanted = [(image, names[name]) for image, name in found if name in names]
    results = json.loads((tmp_path / "out" / "coco_results.json").read_text())
    assert [(row["image_id"], row["category_id"]) for row in results] == wanted
    lost = len(found) - len(wanted)
    assert (f"cat not there: {lost} of {len(found)} detections" in done.stderr) == bool(lost)


@pytest.mark.parametrize(
    "words, told",
    [
        (("gone.jpg",), "gone.jpg: no such file or folder"),
        (("empty",), "empty: no pictures there (valid: .avif"),
        (("photos/*.gif",), "photos/*.gif: no pictures there"),
        (("photos", "--output", "photos"), "pictures to detect in are there"),
        (("photos", "--batch", "0"), "batch: Input should be greater than 0"),
        (("photos", "--set", "recipe.rate=1"), "not a setting of this command; valid: test.clip"),
        (("photos", "--set", "test.speed=1"), "unknown speed; valid: clip"),
        (("photos", "--score-above", "7"), "test.score_threshold: Input should be less"),
        (
            ("photos", "--model", "Nope"),
            "Nope: no folder, and no name of a model: unknown Nope; valid: faster",
        ),
        (("photos", "--device", "cuda:99"), "device 'cuda:99' is not here"),
    ],
)
def test_a_mistake_is_told_in_a_line_before_anything_is_written(
    model, photos, tmp_path, monkeypatch, words, told
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    before = sorted(tmp_path.rglob("*"))
    done = p2s("predict", "--model", model, "--output", "out", *words)
    [line] = done.stderr.splitlines()
    assert done.exit_code == 2 and told in line and sorted(tmp_path.rglob("*")) == before


def test_settings_act_and_others_need_another_folder(model, photos, tmp_path):
    words = ("predict", "--model", model, *photos, "--output", tmp_path / "out")
    assert p2s(*words, "--set", "test.detections=2", "--score-above", 0).exit_code == 0
    rows = json.loads((tmp_path / "out" / "detections.json").read_text())
    assert [len(row["detections"]) for row in rows] == [2] * 4
    for other in ((), ("--set", "test.detections=2", "--score-above", 0, "--draw-above", 0.5)):
        done = p2s(*words, *other)
        assert done.exit_code == 2 and "choose another folder" in done.stderr


def test_a_model_that_sees_pictures_otherwise_needs_another_folder(model, photos, tmp_path):
    mine = copytree(model, tmp_path / "mine")
    words = ("predict", "--model", mine, *photos, "--output", tmp_path / "out")
    assert p2s(*words).exit_code == 0
    spec = json.loads((mine / "spec.json").read_text())
    spec["backbone"]["pixels"] = {"std": [99, 99, 99]}  # no part of its weights
    (mine / "spec.json").write_text(json.dumps(spec))
    done = p2s(*words)
    assert done.exit_code == 2 and "settings.json: spec " in done.stderr
