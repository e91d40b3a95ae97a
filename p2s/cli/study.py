"""The `p2s study` commands: run the paper's experiments, and render their records."""

import sys

import click

ONLY = click.option("--only", multiple=True, metavar="NAME", help="An experiment; may be repeated.")
SCALE = click.option("--scale", default="smoke", show_default=True, help="As in scales.yaml.")
JOBS = click.option(
    "--jobs", default=1, show_default=True, type=click.IntRange(min=1), help="Runs at once."
)


@click.group()
def study():
    """The paper's tables and figures, from experiments to report."""


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
