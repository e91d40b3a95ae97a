"""VOC: an XML file a picture, with its size and boxes in pixels that are counted from 1.

A folder has them in `Annotations` with pictures in `JPEGImages` (parts by the lists in
`ImageSets/Main`, if there are any), or both in one folder, such as `train` (as Roboflow exports
them). `difficult` objects become crowds, which no evaluation counts.
"""

import codecs
import re
from contextlib import suppress
from html import escape
from pathlib import Path, PureWindowsPath

from hotcoco import COCO

from p2s.data.formats.labelled import (
    ALL,
    Format,
    Labelled,
    Parts,
    copied,
    files_by_folder,
    instead,
    listed,
    part_of,
    sizes,
)
from p2s.data.picture import ENDINGS
from p2s.files import text_of

LABELS, LISTS = "Annotations", ("train", "val", "trainval", "test")
BESIDE = (LABELS, "JPEGImages", "images")  # where the pictures of LABELS may be
LAYOUTS = "Annotations with JPEGImages, or both in one folder"
OBJECT, SIZE = re.compile(rb"<object[\s>]"), re.compile(rb"<size[\s>]")
DECLARED = re.compile(rb"""(?:\xef\xbb\xbf)?<\?xml\s[^>]*?encoding\s*=\s*["']([^"']*)""")
CDATA = re.compile(r"<!\[CDATA\[(.*?)\]\]>", re.DOTALL)
WHOLE = re.compile(r"(<(?:width|height|depth)>\s*\d+)\.0*(?=\s*<)")  # 96.0 pixels are 96
STATE = re.compile(r"\s+(?:-1|0|1)$")  # behind a name in a list: whether a class is in the picture
ESCAPED = re.compile(rb"<(?:name|filename)>[^<]*&")  # of `a&amp;b` hotcoco keeps the b


def read(folder: Path) -> Parts:
    """The parts of a data set; ValueError in a line that names the file, and the line in it."""
    parts = {}
    for place, labels in files_by_folder(folder, [".xml"]).items():
        beside = [instead(place, folder, LABELS, word) for word in BESIDE]
        pictures = _places(beside, folder)
        name, labelled = part_of(place, folder, LABELS), _labelled(labels, beside, pictures)
        lists = _lists(place, folder)
        for part, rows in lists.items():
            parts[part if name == ALL else f"{name}-{part}"] = _listed(part, rows, labelled, place)
        if not lists:
            parts[name] = labelled
    if not parts:
        raise ValueError(f"{folder}: no XML files; valid: {LAYOUTS}")
    every = (each for labelled in parts.values() for each in labelled)
    return Parts(sorted({row["category"] for each in every for row in each.objects}), parts)


def lines(label: Path) -> list[int]:
    """In which lines of a label file its objects begin."""
    text = _plain(label)
    return [_line(text, found) for found in OBJECT.finditer(text)]


def _plain(label):
    """What hotcoco reads of a label file: UTF-8 without CDATA, sides without a point."""
    text = CDATA.sub(lambda found: escape(found[1], quote=False), _decoded(label))
    plain = WHOLE.sub(r"\1", text).encode()
    if found := ESCAPED.search(plain):
        told = "an & in a name is not read; valid: a name without it"
        raise ValueError(f"{label}: line {_line(plain, found)}: {told}")
    return plain


def _decoded(label):
    """The text of a label file by the encoding that it declares; ValueError if it is not in it."""
    text, name = label.read_bytes(), "UTF-8"
    declared = DECLARED.match(text)
    if declared:
        name = declared[1].decode(errors="replace")
    elif text.startswith((codecs.BOM_UTF16_BE, codecs.BOM_UTF16_LE)):
        name = "UTF-16"
    with suppress(LookupError, UnicodeError):
        seen = text.decode(name).removeprefix("\ufeff")
        if not declared or seen.startswith("<?xml"):
            return seen
    told = f"encoding {name!r}: not the file's, or not known here; save it as UTF-8"
    raise ValueError(f"{label}: line 1: {told}")


def _labelled(labels, folders, places):
    """Each label file with its picture, in their order."""
    by_number = {f"{number:08}.xml": label for number, label in enumerate(labels)}
    with copied(by_number, _plain) as folder:
        read = COCO.from_voc(folder).dataset
    pairs = list(zip(labels, read["images"], strict=True))  # hotcoco reads files by their names
    pictures = [_picture(label, row["file_name"], places, folders) for label, row in pairs]
    objects = {row["id"]: [] for row in read["images"]}
    names = {row["id"]: row["name"] for row in read["categories"]}
    for row in read["annotations"]:
        told = {name: row[name] for name in ("bbox", "iscrowd")}
        objects[row["image_id"]].append(told | {"category": names[row["category_id"]]})
    found = zip(pairs, pictures, sizes(pictures), strict=True)
    return [
        Labelled(picture, label, _agreed(label, row, picture, size), objects[row["id"]])
        for (label, row), picture, size in found
    ]


def _places(folders, root):
    """The pictures in folders by their names, with and without ending."""
    found = {}
    for path in (path for folder in folders for path in listed(folder, root, ENDINGS)):
        found.setdefault(path.name, path)
        found.setdefault(path.stem, path)
    return found


def _picture(label, told, places, folders):
    """The picture that a label file names, by its path on any system, or that has its own name."""
    name = PureWindowsPath(told).name
    for key in (name, PureWindowsPath(name).stem, label.stem):
        if key in places:
            return places[key]
    there = ", ".join(str(folder) for folder in dict.fromkeys(folders) if folder.is_dir())
    raise ValueError(f"{label}: filename {told}: no such picture, nor {label.stem}.*, in {there}")


def _agreed(label, row, picture, size):
    """The size of a picture; ValueError if its label file says another."""
    told = row["width"], row["height"]
    if told in ((0, 0), size):  # 0: it says none
        return size
    text = _plain(label)
    wide, high = size
    swapped = ": width and height are swapped" * (told == (high, wide))
    raise ValueError(
        f"{label}: line {_line(text, SIZE.search(text))}: size {told[0]} x {told[1]}, "
        f"but {picture.name} is {wide} x {high} as it is seen{swapped}"
    )


def _lists(place, root):
    """The lines that the lists beside LABELS have, by the list's name."""
    if place.name != LABELS or place == root:
        return {}
    found = listed(place.parent / "ImageSets" / "Main", root, [".txt"])
    files = {path.stem: path for path in found}
    return {
        name: [line.strip() for line in text_of(files[name]).split("\n") if line.strip()]
        for name in LISTS
        if name in files
    }


def _listed(part, rows, labelled, place):
    by_stem = {each.label.stem: each for each in labelled}
    stems = [row if row in by_stem else STATE.sub("", row) for row in rows]
    if lost := [stem for stem in stems if stem not in by_stem]:
        told = f"{part}.txt of ImageSets/Main lists {lost[0]}"
        raise ValueError(f"{place / lost[0]}.xml: is not there, but {told}")
    return [by_stem[stem] for stem in stems]


def _line(text, found):
    return text.count(b"\n", 0, found.start()) + 1


VOC = Format(read, lines)
