"""Contents: how much is in a JSON or a folder, on disk or in a zip, against what is published."""

import json
import zipfile
from pathlib import Path

from p2s.data.catalogue import Counts

LISTS = ("images", "annotations")  # of COCO's and LVIS's JSON


def differences(place: Path | zipfile.Path, published: Counts) -> list[str]:
    """In what a place is not as published, a line each; a folder may hold more files."""
    if told := endless(place):
        return told
    if not published:
        return []
    if not place.exists():
        return [f"no {place.name}"]
    found = _folder(place) if place.is_dir() else _lengths_of(place)
    return [
        f"{name}: {found.get(name, 'none')} (valid: {count}, as published)"
        for name, count in published.items()
        if found.get(name, 0) < count or (name in LISTS and found[name] > count)
    ]


def endless(place: Path | zipfile.Path) -> list[str]:
    """A line if a pipe or a device is in a place: reading it may not end."""
    is_odd = place.exists() and not (place.is_dir() or place.is_file())
    return ["not a regular file (valid: a file on a disk)"] * is_odd


def _folder(place):
    return {"files": sum(1 for _ in place.iterdir())}


def _lengths_of(place):
    with place.open("rb") as file:
        try:
            found = json.load(file, object_hook=_lengths)
        except (ValueError, RecursionError):
            return {}
    return found if isinstance(found, dict) else {}


def _lengths(row):
    """Lengths in place of lists, and nothing in place of their rows, which would fill a memory."""
    return {name: len(row[name]) for name in LISTS if isinstance(row.get(name), list)} or None
