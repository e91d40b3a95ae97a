"""A folder of a zip whose files are listed: taken whole, checked, credited, and made COCO's."""

import hashlib
import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from p2s.data import catalogue, manifest
from p2s.data.catalogue import File, Source
from p2s.data.fetch import fetch
from p2s.data.formats.apart import apart
from p2s.data.formats.yolo import YOLO
from tests.support.commands import p2s
from tests.support.server import serving

INSIDE = "repo-123/sets/cats-1"


def picture(seed):
    """A picture of blobs that nothing else is like."""
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    return Image.fromarray(pixels).resize((64, 64), Image.Resampling.BICUBIC)


def png(image):
    file = io.BytesIO()
    image.save(file, "png")
    return file.getvalue()


def files():
    """A set in YOLO's format: one of `valid` mirrors one of `train`, one of `test` is empty."""
    label, mirrored = b"1 0.5 0.5 0.25 0.5\n", Image.Transpose.FLIP_LEFT_RIGHT
    found = {"data.yaml": b"names: [cat, dog]\n", "README.txt": b"of somebody\n"}
    pictures = {"train": [0, 1, 2], "valid": [3, 4], "test": [5, 6]}
    for part, seeds in pictures.items():
        for seed in seeds:
            found[f"{part}/images/{seed}.png"] = png(picture(seed))
            found[f"{part}/labels/{seed}.txt"] = b"" if seed == 6 else label
    return found | {"valid/images/4.png": png(picture(1).transpose(mirrored))}


FILES = files()


def zipped(changes):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as opened:
        opened.writestr("repo-123/weights.bin", b"not asked for")
        for name, content in (FILES | changes).items():
            if content is not None:
                opened.writestr(f"{INSIDE}/{name}", content)
    return file.getvalue()


@pytest.fixture
def cats(tmp_path, monkeypatch):
    """A catalogue of one set behind a server, and the server; its list is beside the catalogue."""
    place = tmp_path / "catalogue.yaml"
    lines = [f"{hashlib.sha256(v).hexdigest()}  {name}\n" for name, v in FILES.items()]
    place.with_name("cats.sha256").write_text("".join(lines))
    monkeypatch.setattr(catalogue, "CATALOGUE", place)
    with serving(files={"a.zip": zipped({})}) as site:
        listed = {"folder": INSIDE, "hashes": "cats.sha256"}
        file = File(url=f"{site.url}a.zip", to="datasets/cats.zip", listed=listed)
        about = {"about": "cats", "licence": "CC BY 4.0, of Somebody", "page": "https://page"}
        source = Source(**about, labels="yolo", files=[file])
        monkeypatch.setattr(catalogue, "read_catalogue", lambda: {"cats": source})
        yield source, site


def there(folder):
    paths = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_it_is_fetched_once_with_its_credits_and_nothing_else_of_the_zip(cats, tmp_path):
    source, site = cats
    for _ in range(2):
        fetch({"cats": source}, tmp_path)
        found = there(tmp_path / "datasets")
        credits = found.pop("cats/CREDITS.txt").decode()
        assert found == {f"cats/{name}": content for name, content in FILES.items()}
        assert "Licence: CC BY 4.0, of Somebody" in credits and site.url in credits
    assert site.asked == [None]


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"train/labels/0.txt": None}, "no train/labels/0.txt"),
        ({"train/labels/0.txt": b"1 0 0 0 0"}, "train/labels/0.txt: sha256 [0-9a-f]{8} .valid: "),
        ({name: None for name in list(FILES)[:5]}, "no data.yaml; no README.txt; no .*; 2 more"),
    ],
)
def test_a_zip_of_other_files_is_kept_apart(cats, tmp_path, changes, told):
    source, site = cats
    site.files["a.zip"] = zipped(changes)
    with pytest.raises(ValueError, match=f"cats.zip.wrong: not as published: {told}"):
        fetch({"cats": source}, tmp_path)
    assert [*there(tmp_path / "datasets")] == ["cats.zip.wrong"]


def test_what_is_missing_is_fetched_and_what_somebody_has_changed_is_told(cats, tmp_path):
    source, site = cats
    fetch({"cats": source}, tmp_path)
    (tmp_path / "datasets/cats/train/labels/2.txt").unlink()
    fetch({"cats": source}, tmp_path)
    assert len(site.asked) == 2
    (tmp_path / "datasets/cats/data.yaml").write_text("names: [cow]")
    with pytest.raises(ValueError, match="datasets/cats: not as published: data.yaml: sha256"):
        fetch({"cats": source}, tmp_path)
    assert len(site.asked) == 2


def test_cocos_files_are_made_of_its_labels_without_near_twins_of_training(cats, tmp_path):
    for _ in range(2):
        done = p2s("fetch", "cats", "--into", tmp_path)
        assert done.exit_code == 0, done.output
    folder = tmp_path / "datasets/cats"
    counts, options = done.output.splitlines()[-2:]
    assert counts == "cats: 3 pictures to train on, 3 to evaluate on"
    assert options == f"--train {folder}/train.json --val {folder}/val.json --images {folder}"
    train, val = (json.loads((folder / f"{name}.json").read_text()) for name in ("train", "val"))
    names = [image["file_name"] for image in val["images"]]
    assert names == ["test/images/5.png", "test/images/6.png", "valid/images/3.png"]
    assert [row["bbox"] for row in val["annotations"]] == [[24, 16, 16, 32]] * 2
    assert train["categories"] == val["categories"] and len(train["annotations"]) == 3


def test_parts_other_than_training_and_more_are_refused(tmp_path):
    for name in ("data.yaml", "train/images/0.png", "train/labels/0.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(FILES[name])
    with pytest.raises(ValueError, match=f"{tmp_path}: parts train; valid: train and others"):
        apart(YOLO).read(tmp_path)


def test_a_list_that_sha256sum_did_not_write_is_told_with_its_line(tmp_path):
    (tmp_path / "a.sha256").write_text(f"{'0' * 64}  a b.txt\n{'0' * 64} c.txt\n")
    with pytest.raises(ValueError, match="a.sha256: line 2: valid: 64 digits, two spaces, a path"):
        manifest.read(tmp_path / "a.sha256")
