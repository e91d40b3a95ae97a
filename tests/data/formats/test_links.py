"""Links in a folder of labels: none is followed out of it, and nothing outside is shown."""

import pytest

from p2s.data.formats.conversion import convert
from p2s.data.formats.voc import VOC
from p2s.data.formats.yolo import YOLO
from tests.support.labels import one, voc, xml, yolo

SECRET = "root:secret"
PLACES = [
    *((YOLO, name) for name in ("data.yaml", "images", "images/a.jpg", "labels", "labels/a.txt")),
    *((VOC, name) for name in ("Annotations", "Annotations/x.xml", "JPEGImages")),
    *((VOC, name) for name in ("JPEGImages/x.jpg", "ImageSets", "ImageSets/Main/train.txt")),
]


def made(root, form):
    """A folder that is converted as it stands."""
    if form is YOLO:
        return yolo(root, {"images/a.jpg": "0 .5 .5 .5 .5\n"})
    voc(root, {"x.xml": xml(one("cat", 1, 2, 11, 12))})
    (root / "ImageSets" / "Main").mkdir(parents=True)
    (root / "ImageSets" / "Main" / "train.txt").write_text("x\n")
    return root


@pytest.mark.parametrize(("form", "name"), PLACES)
@pytest.mark.parametrize("is_whole", [True, False])
def test_no_link_is_followed_out_of_the_folder(tmp_path, form, name, is_whole):
    root, outside = made(tmp_path / "set", form), tmp_path / "outside"
    (root / name).rename(outside)
    if not (is_whole or outside.is_dir()):
        outside.write_text(SECRET)
    (root / name).symlink_to(outside)
    told = rf"^{root / name}[/\w]*: outside of {root} \(valid: a path inside it\)$"
    with pytest.raises(ValueError, match=told):
        convert(root, tmp_path / "out", form)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("form", "name"), PLACES)
def test_links_within_it_are_followed_and_it_may_be_one_itself(tmp_path, form, name):
    root = made(tmp_path / "set", form)
    (tmp_path / "link").symlink_to(root)
    if (root / name).is_file():
        (root / name).rename(root / "moved")
        (root / name).symlink_to(root / "moved")
    [written] = convert(tmp_path / "link", tmp_path / "out", form)
    assert (written.pictures, written.objects) == (1, 1)


def test_what_is_not_read_may_be_anything(tmp_path):
    root = made(tmp_path / "set", YOLO)
    for folder in ("images/b.jpg", "labels/old.txt", ".git/x.jpg"):
        (root / folder).mkdir(parents=True)
    (root / "runs").symlink_to("/")
    [written] = convert(root, tmp_path / "out", YOLO)
    assert written.pictures == 1


def test_a_folder_that_is_reached_by_a_hidden_link_is_outside_too(tmp_path):
    root = yolo(tmp_path / "set", {"images/x/deep/a.jpg": "0 .5 .5 .5 .5\n"})
    (root / "labels" / "x").rename(tmp_path / "outside")
    (root / "labels").rename(root / ".hidden")
    (root / ".hidden" / "x").symlink_to(tmp_path / "outside")
    (root / "labels").symlink_to(".hidden")
    with pytest.raises(ValueError, match="labels/x/deep: outside of .*valid: a path inside it"):
        convert(root, tmp_path / "out", YOLO)
