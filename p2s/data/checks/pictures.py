"""Pictures of a data set: each is found and opened, and held against its row in the tables.

Fast and light on purpose, as `health` is.
"""

import os
from collections import defaultdict
from pathlib import Path

from p2s.data.checks.fields import LONGEST
from p2s.data.checks.header import Header, headers
from p2s.data.checks.problems import LINES, Problems, shown
from p2s.data.inside import outside
from p2s.data.names import Endings, ImageFolder
from p2s.data.pixels.turns import ASIDE

FEW = 5  # images of a file that are told
Places = list[tuple[dict, str]]  # rows of images, and where in the folder their pictures are


def locate(rows: list[dict], folder: Path, problems: Problems, doubts: Problems) -> Places:
    """The pictures that are in the folder; the others, and names of doubt, are added in lines."""
    pictures, places = ImageFolder(folder), []
    for row in rows:
        if not _is_named(row, problems):
            continue
        name = row["file_name"]
        try:
            place = pictures.place(name)
        except ValueError:
            hint = _hint(pictures, name, problems["outside of the folder"])
            problems["outside of the folder"].append(outside(row, folder) + hint)
            continue
        if place is None:
            hint = _hint(pictures, name, problems["picture"])
            line = f"image {row.get('id')}: file_name: {name}: no such file in {folder}"
            problems["picture"].append(f"{line} (valid: a path relative to it){hint}")
        else:
            places.append((row, place))
    _tell_names(places, problems, doubts)
    _tell_shared(places, doubts)
    return places


def match(
    paths: list[Path], rows: list[dict], _folder: Path, problems: Problems, _doubts: Problems
) -> Places:
    """The row of each of these pictures, by how its path ends; what is not one is added."""
    named = [row for row in rows if _is_named(row, problems)]
    names, places = Endings(row["file_name"] for row in named), {}
    for path in paths:
        if len(found := names.of(path)) != 1:
            line = f"images: {len(found) or 'none'} whose file_name {path} ends with"
            problems["picture"].append(f"{line} (valid: one for each picture)")
            continue
        row, place = named[found[0]], os.path.abspath(path)
        _, other = places.setdefault(row["file_name"], (row, place))
        if other != place:
            line = f"image {row.get('id')}: file_name: {row['file_name']}: {other} ends with it"
            problems["same picture"].append(f"{line}, and {place} (valid: one picture)")
    return [*places.values()]


def hold(places: Places, folder: Path, problems: Problems, doubts: Problems) -> None:
    """Open each picture's header: one that cannot be read, or of another size, is added."""
    distinct = list(dict.fromkeys(place for _, place in places))
    told = dict(zip(distinct, headers(folder / place for place in distinct), strict=True))
    for row, place in places:
        start, header = f"image {row.get('id')}: {row['file_name']}", told[place]
        if header.problem:
            problems["header"].append(f"{start}: {header.problem}")
        elif line := _size_problem(row, header):
            problems["other size"].append(f"{start}: {line}")
        elif header.orientation in range(2, 5):
            doubts["turned"].append(f"{start}: its EXIF tag turns or mirrors the picture")
    if lines := doubts.pop("turned", []):
        more = f", as of {len(lines)} pictures" * (len(lines) > 1)
        doubts["turned"] = [f"{lines[0]}{more}: boxes are taken as of the turned one"]


def leave_closed(places: Places, folder: Path, problems: Problems, doubts: Problems) -> None:
    """Open none: of a published set that was checked when it was unpacked."""


def _size_problem(row, header: Header):
    """In what the picture's size is not that of its row; nothing where a side is not known."""
    asked = row.get("width"), row.get("height")
    known = all(isinstance(side, int | float) and 0 < side < LONGEST for side in asked)
    if asked == header.size or not known:
        return ""
    wide, high = header.size
    line = f"is {wide} x {high}, the annotation file says {asked[0]:g} x {asked[1]:g}"
    if asked == header.sides and header.orientation in ASIDE:
        return f"{line}: its EXIF tag turns the picture; write the size and boxes as it is seen"
    return f"{line}: width and height are swapped" if asked == header.size[::-1] else line


def _is_named(row, problems):
    """Whether an image has the name of a picture; else that is added."""
    name = row.get("file_name")
    if isinstance(name, str) and name:
        return True
    line = f"image {row.get('id')}: file_name: {shown(row, 'file_name')} (valid: a path)"
    problems["file name"].append(line)
    return False


def _hint(pictures, name, told):
    """Where else a picture of this name is, for those that are told."""
    place = pictures.elsewhere(name) if len(told) < LINES else None
    return f"; {place} is there" if place else ""


def _tell_names(places, problems, doubts):
    """Names that are not as on the disk: of two rows for one file it would be a wrong picture."""
    odd = [(row, place) for row, place in places if row["file_name"] != place]
    if not odd:
        return
    names = defaultdict(set)
    for row, place in places:
        names[place].add(row["file_name"])
    for row, place in odd:
        if others := sorted(names[place] - {row["file_name"]}):
            line = f"image {row['id']}: file_name: {row['file_name']}: {place} is {others[0]}'s"
            problems["same picture"].append(f"{line} too (valid: a path of its own)")
    row, place = odd[0]
    told = f"{row['file_name']} is read as {place}"
    doubts["names"] = [f"images: file_name: {len(odd)} not as on the disk: {told}"]


def _tell_shared(places, doubts):
    """Files that several images have: what is boxed in one of them is background in another."""
    images = defaultdict(list)
    for row, place in places:
        images[os.path.normpath(place)].append(row.get("id"))
    if shared := [name for name, of in images.items() if len(of) > 1]:
        of = ", ".join(map(str, images[shared[0]][:FEW]))
        told = f"{len(shared)} of more than one image, {shared[0]} of {of}"
        doubts["shared"] = [f"images: file_name: {told} (valid: an image a file, with all boxes)"]
