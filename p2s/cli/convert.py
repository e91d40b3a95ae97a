"""`p2s convert`: labels of another format as COCO's JSON, for `p2s train`."""

import click

from p2s.cli.paths import FOLDER, NEW_FOLDER
from p2s.cli.telling import say

VAL = ("val", "valid", "validation", "test")  # names of parts to evaluate on, the best first


@click.command()
@click.argument("folder", type=FOLDER)
@click.option(
    "--from", "form", type=click.Choice(["yolo", "voc"]), required=True, help="The format there."
)
@click.option("--output", type=NEW_FOLDER, required=True, help="For a JSON of each part.")
def convert(folder, form, output):
    """Make COCO's JSON of labels in YOLO's or VOC's format; pictures stay where they are.

    FOLDER has data.yaml, train/images and train/labels (or images/train and labels/train) for
    yolo; Annotations and JPEGImages for voc; or pictures and labels side by side.
    """
    from p2s.data.formats import conversion
    from p2s.data.formats.voc import VOC
    from p2s.data.formats.yolo import YOLO

    written = conversion.convert(folder, output, {"yolo": YOLO, "voc": VOC}[form])
    for path, pictures, empty, objects in written:
        say(f"{path}: {pictures} pictures ({empty} without objects), {objects} objects")
    parts = {path.stem: path for path, *_ in written}
    val = next((parts[name] for name in VAL if name in parts), None)
    if val and "train" in parts:
        say(f"--train {parts['train']} --val {val} --images {folder}")
