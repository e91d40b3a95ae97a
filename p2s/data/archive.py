"""Archives: a zip unpacked where it lies, so that it can be stopped and no file is lost."""

import shutil
import zipfile
import zlib
from pathlib import Path

from tqdm import tqdm

from p2s.data.inside import leads_outside

DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError)  # what reading a damaged zip raises


def unpack(archive: Path) -> None:
    """Unpack a zip into the folder it lies in; members that are there, by size, are left.

    Raises ValueError, before anything is written, for a member that leads out of the folder, for
    another file in a member's place, and for a lack of room; and for a zip that is damaged.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            missing = _missing(opened, archive)
            require_room(archive.parent, sum(member.file_size for member in missing))
            for member in tqdm(missing, archive.name, unit="file", disable=None):  # in a terminal
                _extract(opened, member, archive)
    except DAMAGE as error:
        raise ValueError(f"{archive}: no whole zip: {error}: remove it") from error


def require_room(folder: Path, size: int) -> None:
    """ValueError unless the disk of a folder has room for so many bytes."""
    free = shutil.disk_usage(folder).free
    if free < size:
        raise ValueError(f"{folder}: {size} bytes are needed, {free} are free")


def _missing(opened, archive):
    members = [member for member in opened.infolist() if not member.is_dir()]
    for member in members:
        if leads_outside(archive.parent, member.filename):
            told = f"outside of {archive.parent} (valid: a path inside it)"
            raise ValueError(f"{archive}: {member.filename}: {told}")
    return [member for member in members if not _is_there(member, archive.parent)]


def _is_there(member, folder):
    place = folder / member.filename
    if not place.exists():
        return False
    if place.is_file() and place.stat().st_size == member.file_size:
        return True
    raise ValueError(f"{place}: another file than that of the archive: move it away")


def _extract(opened, member, archive):
    """By way of one file beside the archive: what is in its place is whole, whenever stopped."""
    place, partial = archive.parent / member.filename, archive.with_name(f"{archive.name}.member")
    place.parent.mkdir(parents=True, exist_ok=True)
    with opened.open(member) as packed, partial.open("wb") as file:
        shutil.copyfileobj(packed, file)
    partial.replace(place)
