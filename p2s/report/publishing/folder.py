"""The folder docs/report: pages of executed notebooks, small enough for git, the same again."""

from pathlib import Path

import nbformat

from p2s.files import write_atomic
from p2s.report import menu, pages, site
from p2s.report.publishing import pictures, rules
from p2s.study.project import Project


def publish(project: Project) -> Path:
    """Write the pages that `site.render` has made as docs/report; returns index.html's path.

    Pictures are as large as the whole may be. A ValueError tells in what the rules are not kept,
    a line each; the folder is then as it was.
    """
    made = _small(project)
    if wrong := rules.problems(made, project):
        raise ValueError("\n".join(wrong))
    folder = project.root / rules.FOLDER
    for left in published(project).keys() - made.keys():
        (folder / left).unlink()
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in made.items():
        write_atomic(folder / name, text.encode())
    return folder / menu.address(menu.INDEX)


def published(project: Project) -> dict[str, str]:
    """The pages that the project has been published with, by their names."""
    paths = (project.root / rules.FOLDER).glob("*.html")
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(paths)}


def _small(project) -> dict[str, str]:
    """Pages by their names, by the first of STEPS that makes them small enough, else the last."""
    sheets = site.sheets(project)
    every = site.listed(sheets)
    executed = [nbformat.read(sheet.executed(project), as_version=4) for sheet in sheets]
    made: dict[str, str] = {}
    for step in pictures.STEPS:
        for sheet, notebook in zip(sheets, executed, strict=True):
            small = pictures.shrunk(notebook, step)
            made[sheet.entry.address] = pages.html(small, sheet.entry, every)
        if not rules.too_large(made):
            break
    return made
