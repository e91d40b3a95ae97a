"""Scratch: private temporary folders, of which kill -9 leaves nothing beyond the next start."""

import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import gettempdir

from filelock import FileLock, Timeout

PREFIX, LOCK = "p2s-", ".lock"


@contextmanager
def scratch(parent: Path | None = None) -> Iterator[Path]:
    """A folder that only this user can read, and that is gone afterwards.

    It is among the temporary files unless its parent is given, such as for a file that is moved.
    Its lock, beside it, is held as long as its process lives. A folder whose lock nobody holds is
    of a process that was killed, and is removed here.
    """
    parent = parent or Path(gettempdir())
    remove_orphans(parent)
    folder = parent / f"{PREFIX}{secrets.token_hex(8)}"  # a name that nobody foresees
    lock = FileLock(f"{folder}{LOCK}", mode=0o600)
    with lock:  # before the folder is there, or it might be taken for an orphan
        try:
            folder.mkdir(mode=0o700)
            yield folder
        finally:
            _remove(folder)


def remove_orphans(parent: Path | None = None) -> None:
    """Remove this user's folders whose processes are gone, among temporary files or in a parent."""
    for path in (parent or Path(gettempdir())).glob(f"{PREFIX}*{LOCK}"):
        with suppress(Timeout, OSError):
            if _is_ours(path):
                with FileLock(path, timeout=0):
                    _remove(path.with_name(path.name.removesuffix(LOCK)))


def _is_ours(path):
    """Whether this user made a lock: of others, and through links, nothing is removed."""
    status = path.lstat()
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.getuid()


def _remove(folder):
    shutil.rmtree(folder, ignore_errors=True)
    Path(f"{folder}{LOCK}").unlink(missing_ok=True)
