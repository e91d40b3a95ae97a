"""Downloads: a file from a URL, which goes on where it was stopped."""

import sys
from functools import partial
from pathlib import Path

from p2s.files import require_file

CHUNK = 1 << 16  # bytes between two writes: so much a kill may cost
TIMEOUT = 30  # seconds without a byte


def download(url: str, part: Path) -> None:
    """Fill a file up to all that a URL has; bytes that it holds already are not asked for again.

    Raises what requests raises, and OSError of the disk; what has come by then is kept. ValueError
    if no file is in its place.
    """
    require_file(part)
    try:
        with part.open("ab") as file:
            _fill(file, url)
    finally:
        if part.exists() and not part.stat().st_size:
            part.unlink()


def _fill(file, url):
    import requests  # takes long, as pooch does
    from pooch import HTTPDownloader

    have = file.tell()
    ask = HTTPDownloader(
        progressbar=sys.stderr.isatty(),
        chunk_size=CHUNK,
        timeout=TIMEOUT,
        headers={"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {}),
        hooks={"response": partial(_begin, file)},
    )
    try:
        ask(url, file, None)
    except requests.HTTPError as error:
        answer = error.response
        if not have or answer.status_code != requests.codes.range_not_satisfiable:
            raise
        if answer.headers.get("Content-Range") != f"bytes */{have}":  # longer than the whole
            _empty(file)
            _fill(file, url)


def _begin(file, response, **_):
    """Before the first byte: refuse a page, and start anew if the server gives the whole."""
    import requests

    if not response.ok or response.is_redirect:
        return
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise requests.RequestException("a page, not a file", response=response)
    if file.tell() and response.status_code == requests.codes.ok:
        _empty(file)


def _empty(file):
    file.truncate(0)
    file.seek(0)
