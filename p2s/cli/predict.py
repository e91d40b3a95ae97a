"""`p2s predict`, and `p2s pseudo-label`, which makes annotations of what it trusts (App. C)."""

import sys

import click

from p2s.cli.options import DEVICE, MODEL, NUMBER, PRECISION, WHOLE, settings
from p2s.cli.paths import ANY, DETECTIONS, FILE, FOLDER

BATCH = click.option(
    "--batch", default=1, type=WHOLE, show_default=True, help="Pictures at once, of one size."
)


@click.command()
@MODEL
@click.argument("images", nargs=-1, required=True, type=ANY)
@click.option("--output", type=DETECTIONS, required=True, help="For pictures, detections.json.")
@click.option(
    "--draw-above", default=0.3, type=NUMBER, show_default=True, help="Lowest score that is drawn."
)
@click.option("--score-above", type=NUMBER, help="Lowest score at all; else the model's own.")
@BATCH
@click.option("--tile", type=WHOLE, help="Cut pictures into parts of so many pixels a side too.")
@click.option("--coco", type=FILE, help="COCO JSON whose ids coco_results.json is to have.")
@DEVICE
@PRECISION
@settings("Any field of test, such as test.nms=0.6.")
def predict(**options):
    """Detect in images: boxes drawn, and a JSON with scores, P(O) and P(C|O).

    IMAGES are files, folders, and patterns such as 'photos/**/*.jpg'. Interrupted, the same
    command goes on. A picture that cannot be read is told and left out; then the exit code is 1.
    """
    from p2s.cli.pictures import Job

    if not Job(**options).run():
        sys.exit(1)


@click.command("pseudo-label")
@MODEL
@click.option("--images", type=FOLDER, required=True, help="Pictures without annotation.")
@click.option("--output", type=DETECTIONS, required=True, help="For pseudo_labels.json.")
@click.option(
    "--score-above", default=0.5, type=NUMBER, show_default=True, help="Lowest score of a label."
)
@BATCH
@DEVICE
@PRECISION
@settings("Any field of test, such as test.nms=0.6.")
def pseudo_label(images, **options):
    """Annotate pictures by what a model finds in them, for `p2s train --pseudo`.

    Writes COCO JSON: the model's classes, and a score beside each box. Interrupted, the same
    command goes on. A picture that cannot be read, or that train would refuse, is told and left
    out; then the exit code is 1.
    """
    from p2s.cli.pseudo_labels import Job

    if not Job(images=(f"{images}",), folder=images, draw_above=None, coco=None, **options).run():
        sys.exit(1)
