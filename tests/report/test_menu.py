"""The side list has every notebook in a group by a short name, and nothing that is not there."""

import os

import nbformat
import pytest
from nbformat.v4 import new_notebook

from p2s.report import menu
from p2s.study.project import TRAIN_EVAL
from tests.support import ROOT
from tests.support.malformed import require_told

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_every_page_has_one_group_and_nothing_else_is_listed():
    listed = [stem for names in menu.groups().values() for stem in names]
    pages = {path.stem for path in NOTEBOOKS} - {menu.INDEX, TRAIN_EVAL.stem}
    assert sorted(listed) == sorted(pages)


def test_names_are_short_and_no_two_are_alike():
    names = [name for names in menu.groups().values() for name in names.values()]
    assert len({*names}) == len(names) and max(map(len, names)) <= 18


def test_the_front_page_is_first_and_a_page_that_is_not_listed_last(tmp_path):
    paths = [tmp_path / f"{name}.ipynb" for name in ("new", "table5", "claims", menu.INDEX)]
    for path in paths:
        nbformat.write(new_notebook(), path)
    entries = [*menu.entries(paths).values()]
    assert [entry.address for entry in entries] == [
        *("index.html", "claims.html", "table5.html", "new.html")
    ]
    assert [group for group, _ in menu.grouped(entries)] == ["", "Method", "Tables", menu.REST]


def test_a_notebook_without_heading_is_called_by_its_name(tmp_path):
    path = tmp_path / "plain.ipynb"
    nbformat.write(new_notebook(), path)
    assert menu.title(path) == "plain"


@pytest.mark.parametrize(
    "content", [b"", b"[" * 10**6, b"{}", b"[]", b"\xff", b'{"cells": 5, "nbformat": 4}', None]
)
def test_what_is_no_notebook_is_told_with_its_file(tmp_path, content):
    path = tmp_path / "a.ipynb"
    os.mkfifo(path) if content is None else path.write_bytes(content)
    require_told(lambda: menu.title(path), "a.ipynb: not a notebook|a.ipynb: not ")


@pytest.mark.parametrize(
    ("name", "address"),
    [("report.ipynb", "index.html"), ("a.ipynb", "a.html"), ("a.ipynb#b-c", "a_b-c.html")],
)
def test_the_front_page_is_the_report(name, address):
    assert menu.address(f"notebooks/{name}") == address
