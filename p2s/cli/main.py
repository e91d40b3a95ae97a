"""The `p2s` command. Whatever takes long to import is imported by the command that needs it."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import click

from p2s import NO_DETECTRON2, __version__
from p2s.cli.bench import bench

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
NEW_FOLDER = click.Path(file_okay=False, path_type=Path)
NEW_FILE = click.Path(dir_okay=False, writable=True, path_type=Path)
# Of p2s.spec.Glyphs, which a command that needs no Spec does not wait for; tests/cli compares them.
SCENE_FIELDS = (
    *("seed", "train", "val", "size", "classes", "fragments", "strangers", "contrast", "noise"),
    *("looseness", "objects", "size_median", "size_spread", "largest"),
    *("chances", "imbalance", "federated", "unannotated"),
)
MODEL = click.option("--model", type=FOLDER, required=True, help="A folder of `p2s train`.")


class Commands(click.Group):
    """A group whose expected errors are one line and exit code 2, and Ctrl-C is 130."""

    def invoke(self, context):
        """Run a command; what is not an error of the input keeps its traceback."""
        try:
            return super().invoke(context)
        except BrokenPipeError:  # of `p2s ... | head`: whoever read has enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            context.exit(1)
        except KeyboardInterrupt:
            click.echo("stopped; the same command goes on from here", err=True)
            context.exit(130)
        except (ValueError, OSError, FloatingPointError, ImportError) as error:
            if context.params["traceback"]:
                raise
            click.echo(f"p2s: {_in_a_line(error)}", err=True)
            context.exit(2)


def settings(text: str) -> Callable:
    """The option --set, with this help; a command gets every FIELD=VALUE as a nested dict."""
    return click.option(
        "--set", "settings", multiple=True, metavar="FIELD=VALUE", callback=_nested, help=text
    )


def _nested(context, option, given):
    return tuple(_setting(text, option.help) for text in given)


def _setting(given, valid):
    """`part.field=value` as {part: {field: value}}, and so on for any number of names."""
    import yaml

    name, equals, value = given.partition("=")
    names = name.split(".")
    if not (equals and all(names)):
        raise ValueError(f"--set {given}: write FIELD=VALUE. {valid}")
    try:
        value = yaml.safe_load(value)
    except (yaml.YAMLError, ValueError):  # ValueError: a date that does not exist
        raise ValueError(f"--set {given}: the value is not valid YAML") from None
    for key in reversed(names):
        value = {key: value}
    return value


def _in_a_folder(context, option, path):
    """Refuse a file whose folder is not there, before the work and not after it."""
    if path and not path.parent.is_dir():
        raise click.BadParameter(f"{path.parent} is not a folder that exists.")
    return path


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="p2s %(version)s")
@click.option("--traceback", is_flag=True, help="Show where in the code an error was raised.")
def main(traceback):
    """Probabilistic two-stage detection: train, evaluate, predict, and run the study."""


@main.command()
@click.option("--detector", default="CenterNet2", show_default=True, help="As in the paper.")
@click.option("--train", type=FILE, required=True, help="COCO JSON to train on.")
@click.option("--val", type=FILE, required=True, help="COCO JSON to evaluate on.")
@click.option("--images", type=FOLDER, required=True, help="What file names are relative to.")
@click.option("--val-images", type=FOLDER, help="The same for --val, if it is another folder.")
@click.option("--output", type=NEW_FOLDER, required=True, help="Where to, and to go on from.")
@click.option("--size", default=320, show_default=True, help="Short edge of an image, in pixels.")
@click.option("--iterations", default=2000, show_default=True, help="Steps of 8 images.")
@click.option("--weights", type=FILE, help="ResNet on ImageNet; without it, from scratch.")
@click.option("--seed", default=0, show_default=True)
@settings("Any field of the Spec, such as recipe.rate=0.02, but num_classes and data.")
def train(**options):
    """Train a detector on your own images and evaluate it.

    A small network (ResNet-18 of half the width, batch of 8) that a laptop can train. --set
    changes any field: `--set backbone.depth=50 --set recipe.rate=0.02`. The learning rate is for
    a batch of 16 and scaled to yours. Interrupted, the same command goes on and ends with the
    same result.
    """
    folder = options["images"]
    of_val = options["val_images"] or folder
    _refuse_unhealthy((options["train"], folder), (options["val"], of_val))
    from p2s.cli import own_data

    own_data.run(own_data.Job(**options))


@main.command()
@MODEL
@click.option("--annotations", type=FILE, required=True, help="COCO JSON to evaluate on.")
@click.option("--images", type=FOLDER, required=True, help="What file names are relative to.")
@click.option("--output", type=NEW_FILE, callback=_in_a_folder, help="A JSON for the numbers.")
@settings("Any field of test, such as test.nms=0.6.")
def evaluate(model, annotations, images, output, settings):
    """COCO's 12 numbers, AP of each class and recall of proposals of a trained model."""
    _refuse_unhealthy((annotations, images))
    from p2s.cli import own_data

    metrics = own_data.evaluate_folder(model, annotations, images, settings)
    click.echo(own_data.table(metrics))
    if output:
        own_data.write_metrics(output, metrics)


@main.command()
@MODEL
@click.argument("images", type=FILE, nargs=-1, required=True)
@click.option("--output", type=NEW_FOLDER, required=True, help="For pictures, detections.json.")
@click.option("--draw-above", default=0.3, show_default=True, help="Lowest score that is drawn.")
def predict(model, images, output, draw_above):
    """Detect in images: boxes drawn, and a JSON with scores, P(O) and P(C|O)."""
    from p2s.deploy import predict as prediction
    from p2s.train import engine

    network, spec, classes = engine.load(model)
    options = {"draw_above": draw_above}
    answers = prediction.predict(network, spec.test, classes, images, output, **options)
    for row in answers:
        click.echo(f"{row['file']}: {len(row['detections'])} detections, {row['picture']}")


@main.command()
@click.argument("file", type=FILE)
def replay(file):
    """Do the training step again that a failure file holds, and print its losses."""
    from p2s.train import replay as steps

    for name, value in steps.replay(file).items():
        click.echo(f"{name}: {json.dumps(value)}")


@main.command()
@click.option("--output", type=NEW_FOLDER, required=True)
@settings(f"One of {', '.join(SCENE_FIELDS)}, such as train=100.")
def glyphs(output, settings):
    """Draw the synthetic data set: COCO JSON and images, for `p2s train`."""
    from p2s.data.glyphs import prepare
    from p2s.spec import Glyphs

    fields = {name: value for setting in settings for name, value in setting.items()}
    files = prepare(Glyphs(**fields), output)
    click.echo(f"--train {files.train} --val {files.val} --images {files.images}")


main.add_command(bench)


@main.group()
def study():
    """The paper's tables and figures, from experiments to report."""


ONLY = click.option("--only", multiple=True, metavar="NAME", help="An experiment; may be repeated.")
SCALE = click.option("--scale", default="smoke", show_default=True, help="As in scales.yaml.")
JOBS = click.option(
    "--jobs", default=1, show_default=True, type=click.IntRange(min=1), help="Runs at once."
)


@study.command("run")
@SCALE
@ONLY
@JOBS
@click.option("--plan", is_flag=True, help="Only tell what there is to run and how long it takes.")
@click.option("--dry-run", is_flag=True, help="Only build every model; tell the resolved recipes.")
def study_run(scale, only, jobs, plan, dry_run):
    """Run what is missing or changed; every run leaves a record."""
    from concurrent.futures import ThreadPoolExecutor

    from p2s.study import status
    from p2s.study.project import Project
    from p2s.study.study import Study

    study = Study.load(Project.at(), scale)
    if dry_run:
        from p2s.study import dry_run as rehearsal

        rehearsal.dry_run(study, only=only)
        return
    status.plan(study, only=only, jobs=jobs)
    if not plan:
        with ThreadPoolExecutor(jobs) as executor:
            failed = status.run(study, executor, only=only)
        sys.exit(1 if failed else 0)


@study.command("status")
@SCALE
@ONLY
@JOBS
def study_status(scale, only, jobs):
    """What is done, running, failed or missing, and the time left."""
    from p2s.study import status
    from p2s.study.project import Project
    from p2s.study.study import Study

    status.status(Study.load(Project.at(), scale), only=only, jobs=jobs)


@study.command("framework")
@click.option("--scale", default="desk", show_default=True, type=click.Choice(["desk", "smoke"]))
def study_framework(scale):
    """Record built detectors, and what a trained one says of one scene: Figures 2 and 1."""
    from p2s.study import framework
    from p2s.study.project import Project

    for path in framework.keep(Project.at(), scale):
        click.echo(path)


@study.command("report")
def study_report():
    """Render all records as results/report/index.html."""
    from p2s.report import site
    from p2s.study.project import Project

    click.echo(site.render(Project.at()))


@study.command("drift")
def study_drift():
    """Whether tables and figures are those of the records; exit 1, naming the changed, if not."""
    from p2s.report import site
    from p2s.study.project import Project

    changed = site.drift(Project.at())
    click.echo("\n".join(changed) or "tables and figures are those of the records")
    sys.exit(1 if changed else 0)


def _refuse_unhealthy(*pairs):
    """Exit with 2 after a line for every problem; a second for 10,000 images, without torch."""
    from p2s.data.health import check

    problems = [line for annotations, images in pairs for line in check(annotations, images)]
    if problems:
        click.echo("\n".join(problems), err=True)
        sys.exit(2)


def _in_a_line(error):
    if isinstance(error, ModuleNotFoundError) and (error.name or "").startswith("detectron2"):
        return NO_DETECTRON2
    errors = getattr(error, "errors", None)  # pydantic's, whose own text is many lines
    if not callable(errors):
        return " ".join(str(error).split())
    from p2s.files import first_problem

    return first_problem(error)
