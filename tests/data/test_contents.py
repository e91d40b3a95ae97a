"""Contents: what is counted on disk and in a zip is what json and the folder say."""

import json
import zipfile

import pytest

from p2s.data.contents import differences


@pytest.fixture(params=["disk", "zip"])
def place(request, tmp_path):
    """A function from names and texts to the folder, or the zip, that holds them."""

    def made(**texts):
        if request.param == "zip":
            with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
                for name, text in texts.items():
                    archive.writestr(name.replace("__", "/"), text)
            return zipfile.Path(tmp_path / "a.zip")
        for name, text in texts.items():
            path = tmp_path / name.replace("__", "/")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return tmp_path

    return made


def told(images, annotations):
    return json.dumps({"images": images, "annotations": annotations, "info": {"images": 4}})


def test_lists_are_counted_and_what_they_hold_is_not(place):
    rows = [{"id": 1, "segmentation": [[1, 2]], "annotations": "x", "images": {"a": [{}]}}]
    root = place(a=told(rows * 3, rows * 2))
    assert differences(root / "a", {"images": 3, "annotations": 2}) == []
    assert differences(root / "a", {"images": 4, "annotations": 1}) == [
        "images: 3 (valid: 4, as published)",
        "annotations: 2 (valid: 1, as published)",
    ]
    assert differences(root / "a", {"images": 2}) == ["images: 3 (valid: 2, as published)"]


@pytest.mark.parametrize(
    "text", ["", "[1]", "{}", "\xff", '{"images": 3}', '{"images": [1', "[" * 9999]
)
def test_what_is_no_annotation_file_has_no_lists(place, text):
    root = place(a=text)
    assert differences(root / "a", {"images": 3}) == ["images: none (valid: 3, as published)"]


def test_a_folder_may_hold_more_but_not_less(place):
    root = place(p__1="", p__2="", q__3="")
    assert differences(root / "p", {"files": 2}) == differences(root / "p", {"files": 1}) == []
    assert differences(root / "p", {"files": 3}) == ["files: 2 (valid: 3, as published)"]
    assert differences(root / "r", {"files": 3}) == ["no r"]
    assert differences(root / "q" / "3", {}) == []
