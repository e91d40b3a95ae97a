"""Names in annotation files: none is opened that leads out of the image folder."""

import json
import os

import pytest
from PIL import Image

from p2s.data import coco, health, lvis, releases
from p2s.data.checks import pictures
from p2s.data.inside import leads_outside
from p2s.spec import Coco
from tests.support.tiny_lvis import draw, named, written

OUTSIDE = [
    "../secret.png",
    "../../etc/hostname",
    "../../../../../../../../etc/hostname",
    "/etc/hostname",
    "sub/../../secret.png",
    "..",
    "../images-2/secret.png",  # begins like the folder
    "link.png",
    "linked/secret.png",
    "sub/up/secret.png",
    "chain.png",
    "gone.png",
    "C:/secret.png",
    "c:secret.png",
    "\\secret.png",
    "\\\\host\\share\\secret.png",
    "..\\secret.png",
    "sub\\..\\..\\secret.png",
    "sub/..\\..\\..\\secret.png",
]
INSIDE = [
    "1.png",
    "./1.png",
    "sub/2.png",
    "sub/../1.png",
    "sub//2.png",
    "within.png",
    "around/1.png",
]
INSIDE += ["back\\slash.png", "..1.png", "sub/...png"]


@pytest.fixture
def images(tmp_path):
    """A folder with pictures, with links inside it and out of it, and a secret beside it."""
    folder = tmp_path / "images"
    for path in (tmp_path / "secret.png", tmp_path / "images-2" / "secret.png"):
        draw_at(path)
    for name in ("1.png", "sub/2.png", "back\\slash.png", "..1.png", "sub/...png"):
        draw_at(folder / name)
    links = {
        "link.png": "../secret.png",
        "linked": "../images-2",
        "sub/up": "../..",
        "chain.png": "sub/up/secret.png",
        "gone.png": "../gone.png",
        "within.png": "sub/2.png",
        "around": ".",
    }
    for name, target in links.items():
        (folder / name).symlink_to(target)
    return folder


def draw_at(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 48)).save(path, "png")


def tables(name):
    return {
        "images": [{"id": 3, "file_name": name, "width": 64, "height": 48}],
        "annotations": [{"id": 1, "image_id": 3, "category_id": 5, "bbox": [0, 0, 4, 4]}],
        "categories": [{"id": 5, "name": "thing"}],
    }


def annotated(tmp_path, name):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(tables(name)))
    return path


@pytest.fixture
def opened(monkeypatch):
    """The pictures that were opened."""
    paths, original = [], Image.open

    def opening(path, **options):
        paths.append(path)
        return original(path, **options)

    monkeypatch.setattr(Image, "open", opening)
    return paths


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_name_that_leads_outside_is_told_and_never_opened(images, tmp_path, opened, name):
    file, line = annotated(tmp_path, name), f"image 3: file_name: {name}: outside of {images}"
    line += " (valid: a path inside it)"
    assert health.check(file, images) == [f"a.json: {line}"]
    with pytest.raises(ValueError) as told:
        coco.read_coco(file, images).sample(0)
    assert str(told.value) == line and opened == []


@pytest.mark.parametrize("name", INSIDE)
def test_a_name_that_stays_inside_is_read(images, tmp_path, name):
    file = annotated(tmp_path, name)
    assert health.check(file, images) == []
    assert coco.read_coco(file, images).sample(0)["image"].shape == (48, 64, 3)


@pytest.mark.parametrize("name", [*OUTSIDE, *INSIDE])
def test_the_folder_itself_may_be_a_link_or_relative(images, tmp_path, monkeypatch, name):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "link").symlink_to(images)
    monkeypatch.chdir(tmp_path / "elsewhere")
    file = annotated(tmp_path, name)
    for folder in (tmp_path / "elsewhere" / "link", type(tmp_path)("link")):
        assert bool(health.check(file, folder)) == leads_outside(folder, name) == (name in OUTSIDE)


def test_names_that_no_file_system_has_are_told_and_not_raised(images, tmp_path):
    for name in ("a\0b.png", "a\0/b.png", "x" * 300 + ".png", "y" * 300 + "/1.png"):
        [line] = health.check(annotated(tmp_path, name), images)
        assert line.startswith("a.json: image 3: file_name: ")


def test_a_loop_of_links_is_told(images, tmp_path):
    (images / "loop.png").symlink_to("loop.png")
    (images / "knot").symlink_to("knot")
    assert len(health.check(annotated(tmp_path, "knot/1.png"), images)) == 1
    with pytest.raises(ValueError, match="loop.png: not a readable image"):
        coco.read_coco(annotated(tmp_path, "loop.png"), images).sample(0)


def test_a_link_that_comes_after_the_check_is_not_followed(images, tmp_path, opened):
    file = annotated(tmp_path, "1.png")
    data = coco.read_coco(file, images)
    assert health.check(file, images) == [] and data.sample(0)
    opened.clear()
    (images / "1.png").unlink()
    (images / "1.png").symlink_to("../secret.png")
    with pytest.raises(ValueError, match="image 3: file_name: 1.png: outside of "):
        data.sample(0)
    assert opened == []


@pytest.mark.parametrize("url", ["https://host/../secret.png", "x/../../secret.png"])
def test_a_url_of_lvis_may_not_lead_outside(tmp_path, opened, url):
    folder = tmp_path / "images"
    folder.mkdir()
    draw(folder), draw_at(tmp_path / "secret.png")
    content = named()
    content["images"][1]["coco_url"] = url
    file = written(folder, content)
    name = f"image {content['images'][1]['id']}: file_name: ../secret.png: outside of "
    assert [line for line in lvis.check(file, folder) if name in line]
    with pytest.raises(ValueError, match=name):
        lvis.read_lvis(file, folder).sample(1)
    assert not [path for path in opened if "secret" in str(path)]


@pytest.mark.parametrize("kind", ["coco", "lvis", "lvis_v1"])
def test_releases_refuse_such_a_name(tmp_path, kind, monkeypatch, opened):
    folder = tmp_path / "images"
    folder.mkdir()
    draw(folder), draw_at(tmp_path / "secret.png")
    content = named()
    row = content["images"][0]
    row["file_name"] = row["coco_url"] = "../secret.png"
    written(folder, content), written(folder, named(), "b.json")
    data = Coco(kind=kind, train="a.json", val="b.json", images=".")
    known = releases.Release("here", classes=3, images=3)
    monkeypatch.setitem(releases.RELEASES, "lvis_v1", (known, known))
    assert [
        line for line in releases.check(data, folder).problems if "secret.png: outside of" in line
    ]
    monkeypatch.chdir(folder)
    with pytest.raises(ValueError, match="secret.png: outside of"):
        releases.read_release(data)[0].sample(0)
    assert not [path for path in opened if "secret" in str(path)]


def test_ten_thousand_names_take_no_system_call_each(tmp_path, monkeypatch):
    for name in ("1.png", "sub/2.png"):
        draw_at(tmp_path / name)
    calls, original = [], os.path.realpath
    monkeypatch.setattr(os.path, "realpath", lambda path: calls.append(path) or original(path))
    found, doubts = {}, {}
    rows = [{"id": k, "file_name": ("1.png", "sub/2.png")[k % 2]} for k in range(10_000)]
    pictures.locate(rows, tmp_path, found, doubts)
    assert found == {} and [*doubts] == ["shared"] and len(calls) <= 3  # the root and two folders
