"""The `p2s fetch` command: published weights and data sets, each to its place."""

from pathlib import Path

import click

from p2s.cli.paths import FOLDER
from p2s.cli.telling import say


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--into", type=FOLDER, help="Of datasets/; else the project, else this folder.")
def fetch(names, into):
    """Fetch published weights and data sets into datasets/; without a NAME, list them.

    Interrupted, the same command goes on; what is there and right is not fetched again. Without
    a network it says what to put where. Of a detector that p2s has nets for it makes a model,
    of labels in another format COCO's JSON.
    """
    from p2s.data import catalogue

    sources = catalogue.read_catalogue()
    chosen = catalogue.chosen(sources, names)
    root = into or _project_root()
    if not names:
        say(*(_row(name, source, root) for name, source in sources.items()))
        return
    from p2s.data import fetch as fetching

    fetching.fetch(chosen, root)
    for name, source in chosen.items():
        if source.detector:
            say(f"{name}: {_imported(name, source, root)}")
        if source.labels:
            say(*f"{name}: {_converted(source, root)}".splitlines())


def _project_root():
    """The project that this folder is in; outside of one this folder."""
    from p2s.study.project import Project

    try:
        return Project.at().root
    except FileNotFoundError:
        return Path.cwd()


def _imported(name, source, root):
    """Make a model of a released detector that is there; what came of it, in a line."""
    names = root / source.classes if source.classes else None
    if names and not names.exists():
        return f"no model yet: {names} names its classes; with it, the same command makes one"
    from p2s.data import catalogue
    from p2s.data.coco import class_names
    from p2s.train.imports import import_file

    folder = catalogue.model_folder(root, name)
    classes = class_names(names) if names else ()
    import_file(root / source.files[0].to, folder, source.detector, classes)
    return f"--model {folder}"


def _converted(source, root):
    """Make COCO's JSON of the labels of a data set that is there; the options of `p2s train`."""
    from p2s.data.formats.apart import apart
    from p2s.data.formats.conversion import convert
    from p2s.data.formats.voc import VOC
    from p2s.data.formats.yolo import YOLO

    [folder] = source.files[0].places(root)
    train, val = convert(folder, folder, apart({"yolo": YOLO, "voc": VOC}[source.labels]))
    counts = f"{train.pictures} pictures to train on, {val.pictures} to evaluate on"
    return f"{counts}\n--train {train.path} --val {val.path} --images {folder}"


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
