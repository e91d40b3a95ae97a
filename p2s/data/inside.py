"""Names of pictures in annotation files, which may come from anybody: none leads out of the folder.

Fast and light on purpose, as `health` is.
"""

import ntpath
import os
from pathlib import Path


def leads_outside(folder: Path, name: str) -> bool:
    """Whether a name is absolute, or leaves the folder by `..` or by a symbolic link.

    The folder itself may be a link. Windows' drives and backslashes count on every system.
    """
    return is_foreign(name) or leaves(os.path.realpath(folder), folder / name)


def is_foreign(name: str) -> bool:
    """Whether a name is outside as it stands: absolute, with a drive, or by way of backslashes."""
    absolute = name[:1] in ("/", "\\") or name[1:2] == ":" or "\0" in name
    return absolute or "\\" in name and ntpath.normpath(name).startswith("..")


def leaves(root: str, path: Path) -> bool:
    """Whether a path, with its links followed, is outside of a root without links."""
    return not Path(os.path.realpath(path)).is_relative_to(root)


def outside(row: dict, folder: Path) -> str:
    """How it is told that an image's name leads outside."""
    name = f"image {row.get('id')}: file_name: {row['file_name']}"
    return f"{name}: outside of {folder} (valid: a path inside it)"
