"""Archives: a zip unpacked where it lies, so that it can be stopped and no file is lost."""

import shutil
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from tqdm import tqdm

from p2s.data.inside import leads_outside

DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError)  # what reading a damaged zip raises


def unpack(archive: Path, places: Mapping[str, Path] | None = None) -> None:
    """Unpack a zip into the folder it lies in; members that are there, by size, are left.

    `places` are those of the members that are wanted, if not all are. Raises ValueError, before
    anything is written, for a member that leads out of the folder, for another file in a member's
    place, and for a lack of room; and for a zip that is damaged.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            wanted = _all(opened, archive) if places is None else places
            missing = _missing(opened, wanted)
            require_room(archive.parent, sum(member.file_size for member in missing))
            for member in tqdm(missing, archive.name, unit="file", disable=None):  # in a terminal
                _extract(opened, member, wanted[member.filename], archive)
    except DAMAGE as error:
        raise ValueError(f"{archive}: no whole zip: {error}: remove it") from error


def require_room(folder: Path, size: int) -> None:
    """ValueError unless the disk of a folder has room for so many bytes."""
    free = shutil.disk_usage(folder).free
    if free < size:
        raise ValueError(f"{folder}: {size} bytes are needed, {free} are free")


def _all(opened, archive):
    """The places of all members in the folder of the archive."""
    names = [member.filename for member in opened.infolist() if not member.is_dir()]
    for name in names:
        if leads_outside(archive.parent, name):
            told = f"outside of {archive.parent} (valid: a path inside it)"
            raise ValueError(f"{archive}: {name}: {told}")
    return {name: archive.parent / name for name in names}


def _missing(opened, places):
    members = [opened.getinfo(name) for name in places]
    return [member for member in members if not _is_there(member, places[member.filename])]


def _is_there(member, place):
    if not place.exists():
        return False
    if place.is_file() and place.stat().st_size == member.file_size:
        return True
    raise ValueError(f"{place}: another file than that of the archive: move it away")


def _extract(opened, member, place, archive):
    """By way of one file beside the archive: what is in its place is whole, whenever stopped."""
    partial = archive.with_name(f"{archive.name}.member")
    place.parent.mkdir(parents=True, exist_ok=True)
    partial.unlink(missing_ok=True)  # it may be anything, such as a pipe
    with opened.open(member) as packed, partial.open("xb") as file:
        shutil.copyfileobj(packed, file)
    partial.replace(place)
