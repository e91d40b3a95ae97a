"""Fetching: published files into their places in a project, each of them checked."""

import zipfile
from pathlib import Path

import click
from filelock import FileLock, Timeout

from p2s.data import contents, manifest
from p2s.data.archive import DAMAGE, require_room, unpack
from p2s.data.catalogue import File, Source
from p2s.data.download import download
from p2s.files import file_sha256, write_atomic

CREDITS = "CREDITS.txt"  # in a folder of others' pictures


def fetch(sources: dict[str, Source], root: Path) -> None:
    """Fetch what is not yet in its place under a root; stopped, the same call goes on.

    Raises ValueError or OSError of one line: before any work for files that are to be brought by
    hand and for other files in a place, then for a file that is not as published, which is kept
    apart, for a disk, and for a download that fails: with what is to be put where.
    """
    missing = {
        name: [file for file in source.files if not is_there(file, root)]
        for name, source in sources.items()
    }
    for name, files in missing.items():
        if by_hand := [file for file in files if not (file.url or (root / file.to).exists())]:
            raise ValueError(f"{name}: by hand: {_where(by_hand, sources[name], root)}")
    for name, files in missing.items():
        source = sources[name]
        click.echo(f"{name}: {source.about}\n  {source.page}, licence: {source.licence}")
        for done, file in enumerate(files):
            _told(file, f"or by hand: {_where(files[done:], source, root)}", root)
        for file in source.files:
            if file.listed:
                [folder] = file.places(root)
                write_atomic(folder / CREDITS, source.credits.encode())
        click.echo("  there")


def is_there(file: File, root: Path) -> bool:
    """Whether a file is in its place as published; ValueError if something else is.

    Not there is also a folder of which a part has been unpacked.
    """
    for place, counts in file.places(root).items():
        if not place.exists():
            return False
        if file.listed:
            hashes = file.listed.read()
            _refuse(place, manifest.changed(place, hashes))
            return not manifest.missing(place, hashes)
        told = contents.differences(place, counts) if file.unpacked else fault(file, place)
        if told and file.unpacked and place.is_dir():
            return False
        _refuse(place, told)
    return True


def fault(file: File, path: Path) -> list[str]:
    """In what a downloaded file is not the published one, a line each."""
    from pooch import file_hash  # takes long

    if told := contents.endless(path):
        return told
    if path.is_file():
        size = path.stat().st_size
        if file.bytes and size != file.bytes:
            return [f"{size} bytes (valid: {file.bytes}, as published)"]
        algorithm, _, digits = (file.hash or "").partition(":")
        if digits and not (found := file_hash(path, algorithm)).startswith(digits):
            return [f"{algorithm} {found[: len(digits)]} (valid: {digits}, as published)"]
    if not (file.unpacked or file.listed):
        return contents.differences(path, file.counts)
    try:
        inside = zipfile.Path(path)
        if file.listed:
            folder, hashes = inside / file.listed.folder, file.listed.read()
            return manifest.missing(folder, hashes) + manifest.changed(folder, hashes)
        told = (contents.differences(inside / name, of) for name, of in file.unpacked.items())
        return [line for lines in told for line in lines]
    except DAMAGE as error:
        return [f"no whole zip: {error}"]


def _told(file, by_hand, root):
    """Fetch a file; what fails is told in a line: of the network `by_hand`, of the disk where."""
    import requests

    try:
        _fetch(file, root / file.to)
    except requests.RequestException as error:
        raise OSError(f"{_reason(error)}; try again, {by_hand}") from error
    except OSError as error:  # writing to a full disk does not say to which file
        raise OSError(f"{root / file.to}: {error.strerror or error}") from error


def _fetch(file, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(target.with_name(f".{target.name}.lock"), timeout=0):
            if target.exists():  # brought by hand, or by a call that was stopped
                _refuse(target, fault(file, target))
            else:
                _download(file, target)
            if file.unpacked or file.listed:
                unpack(target, _places(file, target))
                target.unlink()
    except Timeout:
        raise ValueError(f"{target}: another process fetches it") from None


def _places(file, target):
    """Where members of a zip go of which not all are wanted."""
    if not file.listed:
        return None
    folder = target.with_suffix("")
    return {f"{file.listed.folder}/{name}": folder / name for name in file.listed.read()}


def _download(file, target):
    part = target.with_name(f"{target.name}.part")
    have = part.stat().st_size if part.exists() else 0
    wanted = (file.bytes or 0) * (2 if file.unpacked else 1)  # the zip and what is in it
    require_room(target.parent, wanted - have)
    click.echo(f"  {file.url}\n  to {target}" + f", from byte {have} on" * bool(have))
    if not have or have != file.bytes:
        download(file.url, part)
    if told := fault(file, part):
        wrong = part.replace(target.with_name(f"{target.name}.wrong"))
        raise ValueError(f"{wrong}: not as published: {'; '.join(told)}")
    if not (file.bytes or file.hash or file.counts or file.unpacked or file.listed):
        click.echo(f"  nothing is published to hold it against: sha256 {file_sha256(part)}")
    part.replace(target)


def _refuse(place, told):
    if told:
        raise ValueError(f"{place}: not as published: {'; '.join(told)}: mend it or move it away")


def _where(files, source, root):
    return ", ".join(f"{file.url or source.page} to {root / file.to}" for file in files)


def _reason(error):
    answer = error.response
    if answer is None:
        return f"no download ({type(error).__name__})"
    return str(error) if answer.ok else f"no download ({answer.status_code} {answer.reason})"
