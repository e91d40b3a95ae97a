"""Manifests: the files of a published folder, each with its hash, as sha256sum lists them."""

import hashlib
import zipfile
from pathlib import Path

Hashes = dict[str, str]  # SHA-256 by path in the folder
TOLD = 3  # files of one kind, the others are counted


def read(path: Path) -> Hashes:
    """What a list says; ValueError names the line that is none of sha256sum's."""
    hashes = {}
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        digits, gap, name = line.partition("  ")
        if len(digits) != 64 or not (gap and name):
            raise ValueError(f"{path}: line {number}: valid: 64 digits, two spaces, a path")
        hashes[name] = digits
    return hashes


def missing(folder: Path | zipfile.Path, hashes: Hashes) -> list[str]:
    """Of the files that a folder, on disk or in a zip, has not, the first few in lines."""
    return _few([f"no {name}" for name in hashes if not (folder / name).is_file()])


def changed(folder: Path | zipfile.Path, hashes: Hashes) -> list[str]:
    """Of the files that a folder has, but others than published, the first few in lines."""
    return _few(
        [
            f"{name}: sha256 {found[:8]} (valid: {digits[:8]}, as published)"
            for name, digits in hashes.items()
            if (path := folder / name).is_file() and (found := _sha256(path)) != digits
        ]
    )


def _sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _few(lines):
    return lines[:TOLD] + [f"{len(lines) - TOLD} more"] * (len(lines) > TOLD)
