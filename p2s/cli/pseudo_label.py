"""The `p2s pseudo-label` command: detections that are trusted become annotations (App. C)."""

import sys

import click

from p2s.cli.options import DEVICE, MODEL, NUMBER, PRECISION, WHOLE, settings
from p2s.cli.paths import DETECTIONS, FOLDER


@click.command("pseudo-label")
@MODEL
@click.option("--images", type=FOLDER, required=True, help="Pictures without annotation.")
@click.option("--output", type=DETECTIONS, required=True, help="For pseudo_labels.json.")
@click.option(
    "--score-above", default=0.5, type=NUMBER, show_default=True, help="Lowest score of a label."
)
@click.option(
    "--batch", default=1, type=WHOLE, show_default=True, help="Pictures at once, of one size."
)
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
