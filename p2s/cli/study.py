"""The `p2s study` commands: run the paper's experiments, and render their records."""

import sys

import click

from p2s.cli.options import PRECISIONS, WholeRange
from p2s.cli.paths import FILE, NEW_FOLDER
from p2s.cli.telling import say

ONLY = click.option("--only", multiple=True, metavar="NAME", help="An experiment; may be repeated.")
SCALE = click.option("--scale", default="smoke", show_default=True, help="As in scales.yaml.")
JOBS = click.option(
    "--jobs", type=WholeRange(min=1), help="Runs at once; else as in executors.yaml."
)
EXECUTOR = click.option(
    "--executor", default="local", show_default=True, help="As in executors.yaml: local, slurm."
)
SAYS = "else as the executor says."
DEVICE = click.option("--device", help=f"Of a training: cpu, cuda, auto; {SAYS}")
PRECISION = click.option("--precision", type=PRECISIONS, help=f"Of a training; {SAYS}")
PROCESSES = click.option("--processes", type=WholeRange(min=1), help=f"Of a training; {SAYS}")
WORKERS = click.option("--workers", type=WholeRange(min=0), help=f"That make batches ahead; {SAYS}")


@click.group()
def study():
    """The paper's tables and figures, from experiments to report."""


@study.command("run")
@SCALE
@ONLY
@JOBS
@EXECUTOR
@DEVICE
@PRECISION
@PROCESSES
@WORKERS
@click.option(
    "--measure", is_flag=True, help="A step of each detector here, for the time of a plan."
)
@click.option("--plan", is_flag=True, help="Only tell what there is to run and how long it takes.")
@click.option("--dry-run", is_flag=True, help="Only build every model; tell the resolved recipes.")
def study_run(scale, only, executor, measure, plan, dry_run, **places):
    """Run what is missing or changed; every run leaves a record.

    The plan's time is of earlier records, else guessed. With --measure it is that of a few steps on
    noise, on the device and in the processes that a training would have.
    """
    from p2s.study import executors, status
    from p2s.study.project import Project
    from p2s.study.study import Study

    project = Project.at()
    chosen = executors.load(project, executor, scale, **places)
    study = Study.load(project, scale)
    if dry_run:
        from p2s.study import dry_run as rehearsal

        rehearsal.dry_run(study, only=only)
        return
    pace = _pace(chosen.place) if measure else None
    status.plan(study, only=only, jobs=chosen.jobs, measure=pace)
    if not plan:
        with chosen.open(project) as places:
            failed = status.run(study, places, only=only, processes=chosen.place.ranks)
        sys.exit(1 if failed else 0)


def _pace(place):
    from functools import partial

    from p2s.bench.pace import pace

    return partial(pace, place)


@study.command("plan")
@SCALE
@ONLY
@JOBS
@EXECUTOR
def study_plan(scale, only, jobs, executor):
    """Hours, memory and disk of what is not done yet, and the hours that it has taken so far.

    By measured records; else the hours are guessed, and memory and disk are not told.
    """
    from p2s.study import cost, executors
    from p2s.study.project import Project
    from p2s.study.study import Study

    project = Project.at()
    at_once = executors.load(project, executor, scale, jobs=jobs).jobs
    say(*cost.table(Study.load(project, scale), only, at_once).splitlines())


@study.command("status")
@SCALE
@ONLY
@JOBS
@EXECUTOR
def study_status(scale, only, jobs, executor):
    """What is done, running, failed or missing, and the time left."""
    from p2s.study import executors, status
    from p2s.study.project import Project
    from p2s.study.study import Study

    project = Project.at()
    at_once = executors.load(project, executor, scale, jobs=jobs).jobs
    status.status(Study.load(project, scale), only=only, jobs=at_once)


@study.command("reproduce")
@click.argument("record", type=FILE)
@click.option(
    "--output",
    type=NEW_FOLDER,
    help="For data and weights, made anew; else a folder of the cache.",
)
def study_reproduce(record, output):
    """Train and evaluate what RECORD says anew; tell which numbers are equal. Exit 1 if not all.

    What came out is kept in results/reproduced.
    """
    from p2s.study import train_eval
    from p2s.study.project import Project
    from p2s.study.reproduction import reproduce

    project = Project.at()
    output = output or project.cache / "reproduced"
    found = reproduce(project, record, output, train_eval.made)
    weights = "equal to the last bit" if found.weights else "different"
    say(found.label, f"weights: {weights}")
    for name, numbers in found.parts.items():
        say(f"{name}: {numbers}")
    sys.exit(0 if found.equal else 1)


@study.command("example")
@click.option("--scale", default="gated", show_default=True, help="Of the run, as in scales.yaml.")
@click.option(
    "--output",
    type=NEW_FOLDER,
    help="The model's folder; else that of `glyphs` in the package.",
)
def study_example(scale, output):
    """Make the model that comes with p2s of a run: Table 5's CenterNet2, seed 0.

    Its weights must be in the cache, as the run's record has them. Beyond 3 MB they become fp16.
    """
    from p2s.study.example import made
    from p2s.study.project import Project
    from p2s.study.study import Study
    from p2s.train.shelf import EXAMPLES

    project, target = Project.at(), output or EXAMPLES["glyphs"]
    run = Study.load(project, scale).find(**made.ASKED)
    card = made.example(run, project, target)
    told = "; ".join(card.lines().values())
    say(f"{target}: {card.bytes / 1e6:.2f} MB in {card.precision}; {told}")


@study.command("framework")
@click.option("--scale", default="desk", show_default=True, type=click.Choice(["desk", "smoke"]))
def study_framework(scale):
    """Record built detectors, and what a trained one says of one scene: Figures 2 and 1."""
    from p2s.study import framework
    from p2s.study.project import Project

    for path in framework.keep(Project.at(), scale):
        say(path)


@study.command("report")
@click.option("--open", "shown", is_flag=True, help="Show it in a browser.")
@click.option("--pdf", is_flag=True, help="And as one report.pdf, by Chromium.")
@click.option("--publish", is_flag=True, help="And as docs/report, small enough for git.")
def study_report(shown, pdf, publish):
    """Render all records as results/report/index.html."""
    import webbrowser

    from p2s.report import printing, site
    from p2s.study.project import Project

    if pdf:
        printing.require_chromium()  # before minutes of work
    index = site.render(Project.at())
    say(index)
    if pdf:
        say(printing.pdf(index))
    if publish:
        from p2s.report.publishing import folder

        say(folder.publish(Project.at()))
    if shown and not webbrowser.open(index.as_uri()):
        say("no browser here shows it")


@study.command("drift")
def study_drift():
    """Whether tables and figures are those of the records; exit 1, naming the changed, if not."""
    from p2s.report import site
    from p2s.study.project import Project

    changed = site.drift(Project.at())
    say(*changed or ["tables and figures are those of the records"])
    sys.exit(1 if changed else 0)
