"""Downloads: any stop, any server, and the file has the server's bytes, each sent once."""

import signal
import subprocess
import sys
import time
from random import Random

import pytest
import requests

from p2s.data.download import download
from tests.support import ROOT
from tests.support.server import serving

BODY = Random(0).randbytes(3_000_000)


@pytest.mark.parametrize("have", [0, 1, 1_234_567, len(BODY)])
@pytest.mark.parametrize("ranges", [True, False])
def test_from_any_byte_on_the_file_becomes_the_servers(tmp_path, have, ranges):
    part = tmp_path / "a.part"
    part.write_bytes(BODY[:have])
    with serving(files={"file": BODY}, ranges=ranges) as site:
        download(f"{site.url}file", part)
    assert part.read_bytes() == BODY
    assert site.asked == [f"bytes={have}-" if have else None]


def test_what_is_longer_than_the_servers_file_starts_anew(tmp_path):
    part = tmp_path / "a.part"
    part.write_bytes(BODY + b"more")
    with serving(files={"file": BODY}) as site:
        download(f"{site.url}file", part)
    assert part.read_bytes() == BODY and site.asked == [f"bytes={len(BODY) + 4}-", None]


def test_an_address_that_has_moved_goes_on_from_where_it_was(tmp_path):
    part = tmp_path / "a.part"
    part.write_bytes(BODY[:1000])
    with serving(files={"file": BODY}) as site:
        download(f"{site.url}moved", part)
    assert part.read_bytes() == BODY and site.asked == ["bytes=1000-"] * 2


def test_a_broken_connection_keeps_what_has_come_and_goes_on(tmp_path):
    part = tmp_path / "a.part"
    with serving(files={"file": BODY}, breaks_after=1 << 20) as site:
        for megabytes in (1, 2):
            with pytest.raises(requests.RequestException):
                download(f"{site.url}file", part)
            assert part.read_bytes() == BODY[: megabytes << 20]
        download(f"{site.url}file", part)
    assert part.read_bytes() == BODY


def test_a_page_in_place_of_a_file_is_refused_and_nothing_is_lost(tmp_path):
    part = tmp_path / "a.part"
    part.write_bytes(BODY[:1000])
    with (
        serving(files={"file": b"<p>Sign in"}, ranges=False, kind="text/html; charset=x") as site,
        pytest.raises(requests.RequestException, match="a page, not a file"),
    ):
        download(f"{site.url}file", part)
    assert part.read_bytes() == BODY[:1000]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_download_goes_on_from_its_last_byte(tmp_path, number):
    part = tmp_path / "a.part"
    code = "import sys; from pathlib import Path; from p2s.data.download import download\n"
    code += "download(sys.argv[1], Path(sys.argv[2]))"
    with serving(files={"file": BODY}, waits_after=2 << 20) as site:
        command = [sys.executable, "-c", code, f"{site.url}file", str(part)]
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 30
        while not (part.exists() and part.stat().st_size >= 2 << 20) and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(number)
        assert process.wait(20) != 0
        assert part.read_bytes() == BODY[: 2 << 20]
        site.waits_after = None
        download(f"{site.url}file", part)
    assert part.read_bytes() == BODY and site.asked == [None, f"bytes={2 << 20}-"]
