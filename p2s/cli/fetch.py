"""The `p2s fetch` command: published weights and data sets, each to its place."""

from pathlib import Path

import click

from p2s.cli.options import FOLDER


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--into", type=FOLDER, help="Of datasets/; else the project, else this folder.")
def fetch(names, into):
    """Fetch published weights and data sets into datasets/; without a NAME, list them.

    Interrupted, the same command goes on; what is there and right is not fetched again. Without
    a network it says what to put where.
    """
    from p2s.data import catalogue

    sources = catalogue.read_catalogue()
    chosen = catalogue.chosen(sources, names)
    root = into or _project()
    if not names:
        click.echo("\n".join(_row(name, source, root) for name, source in sources.items()))
        return
    from p2s.data import fetch as fetching

    fetching.fetch(chosen, root)


def _project():
    from p2s.study.project import Project

    try:
        return Project.at().root
    except FileNotFoundError:
        return Path.cwd()


def _row(name, source, root):
    size = f"{source.bytes / 1e6:,.0f} MB" if source.bytes else "size unknown"
    return f"{name:42}{size:>13}  {_state(source, root):9}{source.about}"


def _state(source, root):
    """What a glance says; whether a file is right is seen when it is fetched."""
    if all(place.exists() for file in source.files for place in file.places(root)):
        return "there"
    if any((root / f"{file.to}{end}").exists() for file in source.files for end in (".part", "")):
        return "in part"
    return "missing" if all(file.url for file in source.files) else "by hand"
