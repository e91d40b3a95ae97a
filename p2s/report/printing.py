"""Printing: the pages of a report as one PDF, by a headless Chromium where there is one."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from p2s.scratch import scratch

NAMES = ("chromium", "chromium-browser", "google-chrome")
NAME = "report.pdf"
LISTED = re.compile(r'<li><a [^>]*?href="([\w.-]+\.html)"')
LINK = re.compile(r'href="([\w-]+)\.html(#[\w-]+)?"')  # to a page, or a place in it
STYLED = re.compile(r"\bT_(\d+)(?=\W|_)")  # ids of tables: each page counts from 0
OF_RECORDS = re.compile(r'<a href="\.\./[^"]*">(.*?)</a>')  # a PDF has no place beside them
FOLD = '<details class="fold"'
LIMIT_S = 600


def chromium() -> list[str]:
    """The command that starts a headless Chromium; empty where there is none."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        return []
    # Its sandbox does not start for root, as whom containers run.
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    return [program, "--headless", "--disable-gpu", "--hide-scrollbars", *sandbox]


def require_chromium() -> None:
    """ValueError where there is none."""
    if not chromium():
        raise ValueError(f"a PDF needs Chromium (valid: one of {', '.join(NAMES)} on the PATH)")


def pdf(index: Path) -> Path:
    """The report of an index.html as a PDF beside it, all pages in their order; returns its path.

    ValueError where there is no Chromium, or it fails.
    """
    require_chromium()
    printed = index.with_name(NAME)
    printed.unlink(missing_ok=True)
    with scratch() as folder:
        page = folder / "report.html"
        page.write_text(whole(index), encoding="utf-8")
        options = [f"--user-data-dir={folder}/profile", "--no-pdf-header-footer"]
        command = [*chromium(), *options, f"--print-to-pdf={printed}", page.as_uri()]
        _print(command)
    if not printed.exists():
        raise ValueError(f"{printed}: {command[0]} printed nothing")
    return printed


def _print(command):
    try:
        subprocess.run(command, capture_output=True, timeout=LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        raise ValueError(f"{command[0]}: no PDF within {LIMIT_S} s") from None


def whole(index: Path) -> str:
    """All pages of a report as one, in the order of its list; links lead to places in it."""
    text = index.read_text(encoding="utf-8")
    names = dict.fromkeys(LISTED.findall(text))
    places = [place for name in names for place in _pages(index.with_name(name))]
    parts = [_article(place) for place in places]
    head, _ = text.split("<body>")
    body = "".join(parts).replace(FOLD, f"{FOLD} open", 1)  # the rule of verdicts, once
    return f"{head}<body><main>{body}</main></body></html>"


def _pages(path):
    """A page, if it is there, and those that are made of the same notebook, see menu.address."""
    return [*path.parent.glob(path.name), *sorted(path.parent.glob(f"{path.stem}_*.html"))]


def _article(path):
    """What a page says, as a part of the whole that bears its name."""
    _, _, rest = path.read_text(encoding="utf-8").partition("<main>")
    content, _, _ = rest.rpartition("</main>")
    content = STYLED.sub(rf"T_{path.stem}_\1", content)
    content = OF_RECORDS.sub(r"\1", LINK.sub(_inside, content))
    return f'<article id="{path.stem}">{content}</article>'


def _inside(link):
    """A link to a page, or to a place in it, as one to that place in the whole."""
    page, place = link.groups()
    return f'href="{place or f"#{page}"}"'
