"""Fetching: what is published in its place, or a line that says what to do; nothing lost."""

import io
import json
import os
import shutil
import socket
import zipfile
from hashlib import md5, sha256
from pathlib import Path
from random import Random

import pytest
from filelock import FileLock

from p2s.data import archive, download
from p2s.data.catalogue import File, Source
from p2s.data.fetch import fetch
from tests.support.server import serving

WEIGHTS = Random(0).randbytes(2_500_000)
BOXES = json.dumps({"images": [{"id": 1}, {"id": 2}], "annotations": [{"id": 3}]}).encode()


def zipped(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as opened:
        for name, content in members.items():
            opened.writestr(name.replace("__", "/") + ".json", content)
    return file.getvalue()


PICTURES = zipped(val__1="one", val__2="two")


@pytest.fixture
def site():
    files = {"weights": WEIGHTS, "boxes": BOXES, "zip": zipped(boxes=BOXES), "pictures": PICTURES}
    with serving(files=files) as site:
        yield site


def source(*files):
    return Source(about="a", licence="b", page="https://page", files=files)


def weights(site, **changes):
    told = {"bytes": len(WEIGHTS), "hash": f"sha256:{sha256(WEIGHTS).hexdigest()}"}
    return File(url=f"{site.url}weights", to="datasets/w.pth", **told | changes)


def boxes(site, **counts):
    return File(url=f"{site.url}boxes", to="datasets/a/b.json", counts=counts)


def packed(site, name, **unpacked):
    return File(url=f"{site.url}{name}", to=f"datasets/{name}.zip", unpacked=unpacked)


def listed(root):
    """Names of files, without locks."""
    paths = [path for path in root.rglob("*") if path.is_file() and path.suffix != ".lock"]
    return sorted(str(path.relative_to(root)) for path in paths)


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"hash": None},
        {"bytes": None, "hash": f"sha256:{sha256(WEIGHTS).hexdigest()[:8]}"},
        {"hash": f"md5:{md5(WEIGHTS).hexdigest()[:6]}"},
        {"bytes": None, "hash": None},
    ],
)
def test_what_is_there_is_right_and_is_not_fetched_again(site, tmp_path, told, capsys):
    named = {"w": source(weights(site, **told))}
    for _ in range(2):
        fetch(named, tmp_path)
        assert listed(tmp_path) == ["datasets/w.pth"] and site.asked == [None]
    assert (tmp_path / "datasets/w.pth").read_bytes() == WEIGHTS
    unchecked = f"nothing is published to hold it against: sha256 {sha256(WEIGHTS).hexdigest()}"
    assert (unchecked in capsys.readouterr().out) == (told == {"bytes": None, "hash": None})


def test_a_part_is_gone_on_with_and_a_whole_part_asks_for_nothing(site, tmp_path):
    (tmp_path / "datasets").mkdir()
    part = tmp_path / "datasets/w.pth.part"
    for have, asked in ((1_000_000, ["bytes=1000000-"]), (len(WEIGHTS), [])):
        part.write_bytes(WEIGHTS[:have])
        fetch({"w": source(weights(site))}, tmp_path)
        assert site.asked == asked and listed(tmp_path) == ["datasets/w.pth"]
        assert (tmp_path / "datasets/w.pth").read_bytes() == WEIGHTS
        (tmp_path / "datasets/w.pth").unlink()
        site.asked.clear()


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"bytes": 7}, "2500000 bytes (valid: 7, as published)"),
        ({"hash": "sha256:01234567"}, f"sha256 {sha256(WEIGHTS).hexdigest()[:8]} (valid: 01234567"),
        ({"hash": "md5:" + "0" * 32}, f"md5 {md5(WEIGHTS).hexdigest()} (valid: 000"),
    ],
)
def test_a_wrong_file_is_kept_apart_and_fetched_anew(site, tmp_path, changes, told):
    with pytest.raises(ValueError) as error:
        fetch({"w": source(weights(site, **changes))}, tmp_path)
    assert told in str(error.value) and "\n" not in str(error.value)
    assert str(error.value).startswith(f"{tmp_path}/datasets/w.pth.wrong: not as published: ")
    assert listed(tmp_path) == ["datasets/w.pth.wrong"]
    fetch({"w": source(weights(site))}, tmp_path)
    assert site.asked == [None, None] and "datasets/w.pth" in listed(tmp_path)


@pytest.mark.parametrize("counts", [{"images": 3}, {"images": 1}, {"images": 2, "annotations": 2}])
@pytest.mark.parametrize("in_a_zip", [False, True])
def test_wrong_counts_are_told_and_nothing_is_left_in_the_place(site, tmp_path, counts, in_a_zip):
    file = packed(site, "zip", **{"boxes.json": counts}) if in_a_zip else boxes(site, **counts)
    with pytest.raises(ValueError, match=r"\.wrong: not as published: (images|annot.*): . \(valid"):
        fetch({"b": source(file)}, tmp_path)
    assert listed(tmp_path) == [f"{file.to}.wrong"]


def test_a_zip_is_unpacked_checked_and_removed(site, tmp_path):
    right = {"images": 2, "annotations": 1}
    files = packed(site, "zip", **{"boxes.json": right}), packed(site, "pictures", val={"files": 2})
    for _ in range(2):
        fetch({"b": source(*files)}, tmp_path)
        assert listed(tmp_path / "datasets") == ["boxes.json", "val/1.json", "val/2.json"]
        assert site.asked == [None, None]
    assert (tmp_path / "datasets/boxes.json").read_bytes() == BOXES


def test_an_unpacking_that_was_stopped_goes_on_without_a_download(site, tmp_path, monkeypatch):
    copy = shutil.copyfileobj

    def stopping(packed, file):
        if packed.name.endswith("2.json"):
            raise KeyboardInterrupt
        copy(packed, file)

    named = {"b": source(packed(site, "pictures", val={"files": 2}))}
    monkeypatch.setattr(shutil, "copyfileobj", stopping)
    with pytest.raises(KeyboardInterrupt):
        fetch(named, tmp_path)
    monkeypatch.undo()
    fetch(named, tmp_path)
    assert listed(tmp_path / "datasets") == ["val/1.json", "val/2.json"] and site.asked == [None]


@pytest.mark.parametrize(
    "content",
    [b"no zip", PICTURES[:-30], PICTURES.replace(b"val/2", b"val/3")],
    ids=["none", "cut", "other names"],
)
def test_a_zip_that_is_none_or_damaged_is_kept_apart(site, tmp_path, content):
    site.files["pictures"] = content
    named = {"b": source(packed(site, "pictures", **{"val/2.json": {"images": 2}}))}
    with pytest.raises(ValueError, match="pictures.zip.wrong: not as published: "):
        fetch(named, tmp_path)
    assert listed(tmp_path) == ["datasets/pictures.zip.wrong"]


def test_a_zip_brought_by_hand_is_used_and_a_wrong_one_is_kept(site, tmp_path):
    brought = tmp_path / "datasets/pictures.zip"
    brought.parent.mkdir()
    named = {"b": source(packed(site, "pictures", val={"files": 2}))}
    brought.write_bytes(site.files["zip"])
    with pytest.raises(ValueError, match="pictures.zip: not as published: no val: mend it"):
        fetch(named, tmp_path)
    assert brought.read_bytes() == site.files["zip"]
    brought.write_bytes(PICTURES)
    fetch(named, tmp_path)
    assert listed(tmp_path / "datasets") == ["val/1.json", "val/2.json"] and site.asked == []


def test_another_file_in_a_place_is_kept_and_told_before_any_download(site, tmp_path):
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets/boxes.json").write_text("mine")
    files = weights(site), packed(site, "zip", **{"boxes.json": {"images": 2}})
    with pytest.raises(ValueError, match="boxes.json: not as published: images: none .valid: 2"):
        fetch({"b": source(*files)}, tmp_path)
    assert listed(tmp_path) == ["datasets/boxes.json"] and site.asked == []


@pytest.mark.parametrize(
    "of, place, told",
    [
        (weights, "w.pth", "as published: not a regular file"),
        (weights, "w.pth.part", "not a regular file"),
        (lambda site: boxes(site, images=2), "a/b.json", "as published: not a regular file"),
        (lambda site: packed(site, "zip", **{"boxes.json": {}}), "zip.zip", "not a regular file"),
    ],
)
def test_a_pipe_in_a_place_is_told_and_not_waited_for(site, tmp_path, of, place, told):
    pipe = tmp_path / "datasets" / place
    pipe.parent.mkdir(parents=True)
    os.mkfifo(pipe)
    with pytest.raises(ValueError, match=f"{place}: .*{told}"):
        fetch({"a": source(of(site))}, tmp_path)
    assert site.asked == [] and pipe.is_fifo()


def test_what_has_no_address_is_told_before_any_download_and_checked_when_it_is_there(
    site, tmp_path
):
    by_hand = [File(to="datasets/b.json", counts={"images": 2}), File(to="datasets/val")]
    named = {"w": source(weights(site)), "b": source(*by_hand)}
    with pytest.raises(ValueError) as error:
        fetch(named, tmp_path)
    folder = f"{tmp_path}/datasets"
    places = f"https://page to {folder}/b.json, https://page to {folder}/val"
    assert str(error.value) == f"b: by hand: {places}" and site.asked == []
    (tmp_path / "datasets/val").mkdir(parents=True)
    (tmp_path / "datasets/b.json").write_bytes(BOXES[:9])
    with pytest.raises(ValueError, match="b.json: not as published: images: none"):
        fetch(named, tmp_path)
    (tmp_path / "datasets/b.json").write_bytes(BOXES)
    fetch(named, tmp_path)
    assert listed(tmp_path) == ["datasets/b.json", "datasets/w.pth"]


def closed_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/"


def test_without_a_network_a_line_says_what_to_put_where(site, tmp_path):
    second = boxes(site, images=2)
    site.url = closed_port()
    with pytest.raises(OSError) as error:
        fetch({"w": source(weights(site), second)}, tmp_path)
    first = f"{site.url}weights to {tmp_path}/datasets/w.pth"
    both = f"try again, or by hand: {first}, {second.url} to {tmp_path}/datasets/a/b.json"
    assert str(error.value) == f"no download (ConnectionError); {both}"
    assert listed(tmp_path) == []


@pytest.mark.parametrize(
    "answer, told",
    [
        ({"status": 503}, "no download (503 Service Unavailable); try again, or by hand: http://"),
        ({"files": {}}, "no download (404 Not Found); try again, or by hand: http://"),
        ({"kind": "text/html"}, "a page, not a file; try again, or by hand: http://"),
        (
            {"breaks_after": 1 << 17},
            "no download (ChunkedEncodingError); try again, or by hand: http://",
        ),
    ],
)
def test_a_server_that_does_not_give_the_file_is_told_in_a_line(site, tmp_path, answer, told):
    for name, value in answer.items():
        setattr(site, name, value)
    with pytest.raises(OSError) as error:
        fetch({"w": source(weights(site))}, tmp_path)
    assert str(error.value).startswith(told) and "\n" not in str(error.value)
    kept = {name: (tmp_path / name).read_bytes() for name in listed(tmp_path)}
    stopped = {"datasets/w.pth.part": WEIGHTS[: 1 << 17]}
    assert kept == (stopped if site.breaks_after else {})


def test_a_full_disk_is_told_with_the_file(site, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "require_file", Path)  # a device stands for the disk
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets/w.pth.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match=r"datasets/w.pth: No space left on device$"):
        fetch({"w": source(weights(site))}, tmp_path)


@pytest.mark.parametrize("in_a_zip", [False, True])
def test_a_disk_that_is_too_small_is_told_before_the_download(
    site, tmp_path, monkeypatch, in_a_zip
):
    zip_file = packed(site, "pictures", val={"files": 2}).model_copy(update={"bytes": 5})
    file, needed = (zip_file, 10) if in_a_zip else (weights(site), len(WEIGHTS))
    free = shutil.disk_usage(tmp_path)._replace(free=needed - 1)
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda folder: free)
    with pytest.raises(ValueError, match=f": {needed} bytes are needed, {needed - 1} are free"):
        fetch({"w": source(file)}, tmp_path)
    assert site.asked == [] and listed(tmp_path) == []


def test_a_place_that_cannot_be_written_is_told(site, tmp_path):
    (tmp_path / "datasets").touch()
    with pytest.raises(OSError, match=r"datasets/w.pth: (File exists|Not a directory)$"):
        fetch({"w": source(weights(site))}, tmp_path)
    assert site.asked == []


def test_two_at_once_never_write_into_one_file(site, tmp_path):
    (tmp_path / "datasets").mkdir()
    with (
        FileLock(tmp_path / "datasets/.w.pth.lock"),
        pytest.raises(ValueError, match="w.pth: another process fetches it"),
    ):
        fetch({"w": source(weights(site))}, tmp_path)
    assert site.asked == []
