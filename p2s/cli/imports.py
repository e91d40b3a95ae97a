"""`p2s import`: others' released weights as a model of ours."""

import click

from p2s.cli.options import settings
from p2s.cli.paths import FILE, NEW_FOLDER
from p2s.cli.telling import say


@click.command("import")
@click.argument("file", type=FILE)
@click.option("--as", "name", help="Which detector it is; without it, told from the keys.")
@click.option("--classes", type=FILE, help="COCO JSON that names the classes, if not COCO's 80.")
@click.option("--output", type=NEW_FOLDER, required=True, help="A folder for --model.")
@settings("Any field of the Spec, such as backbone.stride_in=3x3.")
def import_(file, name, classes, output, settings):
    """Make a model of the weights that others released: .pth, .pkl or .safetensors.

    Those of CenterNet2's authors (R50, X101, R2-101 and DLA-34; COCO, LVIS and Objects365), and
    FasterRCNN-RPN, CascadeRCNN-RPN and RetinaNet of detectron2's zoo.
    """
    from p2s.data.coco import class_names
    from p2s.train.imports import import_file

    found = import_file(file, output, name, class_names(classes) if classes else (), settings)
    backbone, count = found.spec.backbone, found.spec.num_classes
    say(f"{file} is {found.name}: {backbone.title}, {count} classes")
    for reason, keys in found.dropped.items():
        say(f"not needed: {len(keys)} of {reason} (first: {keys[0]})")
    say(f"--model {output}")
