"""The `p2s` command. Whatever takes long to import is imported by the command that needs it."""

import json
import os
import sys
from functools import partial

import click

from p2s import __version__
from p2s.cli.bench import bench
from p2s.cli.convert import convert
from p2s.cli.export import export
from p2s.cli.fetch import fetch
from p2s.cli.health import (
    Files,
    of_annotations,
    of_pictures,
    require_apart,
    require_health,
    trains_empty,
)
from p2s.cli.imports import import_
from p2s.cli.models import info, list_
from p2s.cli.options import (
    DEVICE,
    KEEP_BEST,
    MODEL,
    PRECISION,
    PROCESSES,
    SAVE_MINUTES,
    TENSORBOARD,
    VALIDATE_EVERY,
    WATCH,
    WHOLE,
    WORKERS,
    settings,
)
from p2s.cli.paths import FILE, FOLDER, MODEL_FOLDER, NEW_FILE, NEW_FOLDER, NewFolder
from p2s.cli.predict import predict, pseudo_label
from p2s.cli.setup_detectron2 import setup_detectron2
from p2s.cli.study import study
from p2s.cli.telling import in_a_line, is_first, plain, say, tell
from p2s.data.checks import doubts
from p2s.files import MODEL_FILES
from p2s.train import stops

# Of p2s.spec.Glyphs, which a command that needs no Spec does not wait for; tests/cli compares them.
SCENE_FIELDS = (
    *("seed", "train", "val", "size", "classes", "fragments", "strangers", "contrast", "noise"),
    *("looseness", "objects", "size_median", "size_spread", "largest"),
    *("chances", "imbalance", "federated", "unannotated"),
)
MODEL_HERE = NewFolder(*MODEL_FILES, "metrics.json")


class Commands(click.Group):
    """A group whose expected errors are one line and exit code 2, and Ctrl-C is 130."""

    def invoke(self, context):
        """Run a command; what is not an error of the input keeps its traceback."""
        try:
            with stops.never_lost():
                return super().invoke(context)
        except click.BadParameter as error:
            error.message = plain(error.message)
            raise
        except BrokenPipeError:  # of `p2s ... | head`: whoever read has enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            context.exit(1)
        except KeyboardInterrupt:
            say("stopped; the same command goes on from here", err=True)
            context.exit(130)
        except (ValueError, OSError, FloatingPointError, ImportError) as error:
            if context.params["traceback"]:
                raise
            tell(f"p2s: {in_a_line(error)}")
            context.exit(2)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="p2s %(version)s")
@click.option("--traceback", is_flag=True, help="Show where in the code an error was raised.")
def main(traceback):
    """Probabilistic two-stage detection: train, evaluate, predict, and run the study."""


@main.command()
@click.option("--detector", help="As in the paper; without it and --start, CenterNet2.")
@click.option("--train", type=FILE, required=True, help="COCO JSON to train on.")
@click.option("--val", type=FILE, required=True, help="COCO JSON to evaluate on.")
@click.option("--images", type=FOLDER, required=True, help="What file names are relative to.")
@click.option("--val-images", type=FOLDER, help="The same for --val, if it is another folder.")
@click.option("--output", type=MODEL_HERE, required=True, help="Where to, and to go on from.")
@click.option("--size", type=WHOLE, help="Short edge of an image; 320 pixels, or that of --start.")
@click.option(
    "--iterations", default=2000, type=WHOLE, show_default=True, help="Steps of 8 images."
)
@click.option(
    "--backbone",
    type=click.Choice(["lite0"]),
    help="EfficientNet-Lite0 that has learnt ImageNet; see p2s fetch lite0.",
)
@click.option("--weights", type=FILE, help="A trunk's, of ImageNet; without it, from scratch.")
@click.option(
    "--start", type=MODEL_FOLDER, metavar="MODEL", help="A model to start from, of any classes."
)
@click.option("--pseudo", type=FILE, help="Pseudo-labels to train on too; see p2s pseudo-label.")
@click.option("--pseudo-images", type=FOLDER, help="What its file names are relative to.")
@click.option("--seed", default=0, type=WHOLE, show_default=True)
@SAVE_MINUTES
@VALIDATE_EVERY
@KEEP_BEST
@WATCH
@TENSORBOARD
@DEVICE
@PRECISION
@WORKERS
@PROCESSES
@settings("Any field of the Spec, such as recipe.rate=0.02, but num_classes and data.")
def train(processes, workers, **options):
    """Train a detector on your own images and evaluate it.

    A small network (ResNet-18 of half the width, batch of 8) that a laptop can train. --set
    changes any field: `--set backbone.depth=50 --set recipe.rate=0.02`. The learning rate is for
    a batch of 16 and scaled to yours. Interrupted, the same command goes on and ends with the
    same result, to the bit on a CPU. `torchrun --nproc-per-node 8 -m p2s train ...` is
    --processes 8, also on several machines.
    """
    folder = options["images"]
    of_val = options["val_images"] or folder
    pseudo, labelled = options["pseudo"], options["pseudo_images"]
    if bool(pseudo) != bool(labelled):
        raise ValueError("--pseudo and --pseudo-images go together (valid: both, or neither)")
    pairs = [(options["train"], folder), *([(pseudo, labelled)] if pseudo else [])]
    empty = trains_empty(options["start"], options["settings"])
    doubt = partial(doubts.of_training, empty=empty)
    of_training = [Files(*pair, doubt) for pair in pairs]
    require_apart(*of_training, val=Files(options["val"], of_val))
    from p2s.cli import job as jobs
    from p2s.cli import own_data
    from p2s.data import prefetch
    from p2s.train import processes as ranks

    job, count = jobs.Job(**options), ranks.asked_for(processes)
    here = ranks.on_this_machine(count)
    job.require_places(count, here)
    if workers is None:
        workers = prefetch.workers(here)
    ranks.together(partial(own_data.run, job.model_copy(update={"workers": workers})), count)
    if is_first() and own_data.left_out(job.output):
        sys.exit(1)


@main.command()
@MODEL
@click.option("--annotations", type=FILE, required=True, help="COCO JSON to evaluate on.")
@click.option("--images", type=FOLDER, required=True, help="What file names are relative to.")
@click.option("--output", type=NEW_FILE, help="A JSON for the numbers.")
@click.option(
    "--errors", type=NewFolder("errors.html"), help="For errors.html: what is wrong, and where."
)
@click.option("--submit", type=NEW_FILE, help="A JSON for COCO's server.")
@DEVICE
@PRECISION
@settings("Any field of test, such as test.nms=0.6.")
def evaluate(**options):
    """COCO's 12 numbers, AP of each class and recall of proposals of a trained model.

    --errors adds a page with TIDE's kinds of error, which classes are taken for which, and the
    pictures with most errors. --submit writes results in place of numbers, also of a file without
    annotations, such as test-dev's. Interrupted, the same command goes on. A picture that breaks
    on reading is told and left out; then the exit code is 1.
    """
    submit = options["submit"]
    if submit and (options["output"] or options["errors"]):
        raise ValueError("--submit with --output or --errors: nothing is measured (valid: alone)")
    files = Files(options["annotations"], options["images"])
    require_health(files, of=of_pictures if submit else of_annotations)
    from p2s.cli.evaluation import Job

    if not Job(**options).run():
        sys.exit(1)


@main.command()
@click.argument("file", type=FILE)
def replay(file):
    """Do the training step again that a failure file holds, and print its losses."""
    from p2s.train import replay as steps

    for name, value in steps.replay(file).items():
        say(f"{name}: {json.dumps(value)}")


@main.command()
@click.option("--output", type=NEW_FOLDER, required=True)
@settings(f"One of {', '.join(SCENE_FIELDS)}, such as train=100.")
def glyphs(output, settings):
    """Draw the synthetic data set: COCO JSON and images, for `p2s train`."""
    from p2s.data.glyphs import prepare
    from p2s.spec import Glyphs

    fields = {name: value for setting in settings for name, value in setting.items()}
    files = prepare(Glyphs(**fields), output)
    first = min((files.images / "val").iterdir())
    say(f"--train {files.train} --val {files.val} --images {files.images}")
    say(f"next: p2s predict --model glyphs {first} --output FOUND", err=True)


main.add_command(bench)
main.add_command(convert)
main.add_command(export)
main.add_command(fetch)
main.add_command(import_)
main.add_command(info)
main.add_command(list_)
main.add_command(predict)
main.add_command(pseudo_label)
main.add_command(setup_detectron2)
main.add_command(study)
