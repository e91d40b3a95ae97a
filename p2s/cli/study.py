"""The `p2s study` commands: run the paper's experiments, and render their records."""

import sys

import click

from p2s.cli.options import PRECISIONS

ONLY = click.option("--only", multiple=True, metavar="NAME", help="An experiment; may be repeated.")
SCALE = click.option("--scale", default="smoke", show_default=True, help="As in scales.yaml.")
JOBS = click.option(
    "--jobs", type=click.IntRange(min=1), help="Runs at once; else as in executors.yaml."
)
EXECUTOR = click.option(
    "--executor", default="local", show_default=True, help="As in executors.yaml: local, slurm."
)
SAYS = "else as the executor says."
DEVICE = click.option("--device", help=f"Of a training: cpu, cuda, auto; {SAYS}")
PRECISION = click.option("--precision", type=PRECISIONS, help=f"Of a training; {SAYS}")
PROCESSES = click.option("--processes", type=click.IntRange(min=1), help=f"Of a training; {SAYS}")
WORKERS = click.option(
    "--workers", type=click.IntRange(min=0), help=f"That make batches ahead; {SAYS}"
)


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
