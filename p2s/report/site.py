"""The report: tables and figures from records, and HTML pages that need no network.

Nothing in it is typed by hand. What git keeps of it, results/tables and results/figures, is made
again and compared by `drift`; the pages are the executed notebooks.
"""

import tempfile
from pathlib import Path

import nbformat
import pandas as pd
from tqdm import tqdm

from p2s.report import audit, pages
from p2s.report.figures import ablation as figures
from p2s.report.figures import calibration as calibration_figures
from p2s.report.figures import framework, speed
from p2s.report.figures import fusion as fusion_figures
from p2s.report.figures import posterior as posterior_figures
from p2s.report.tables import ablation as tables
from p2s.report.tables import vocabulary as vocabulary_tables
from p2s.study import experiments
from p2s.study.project import TRAIN_EVAL
from p2s.study.runner import run_notebook

NOTE = """\
AP in percent, each row by its own score and threshold: mean ± half of the 95 % Student interval
over seeds (number of seeds); a dash where no record is.
Made from results/runs/{scale} by `p2s study report`; do not edit.
"""
CELL_S = 1800  # seconds that a cell of a page may take: the quickstart trains for minutes
DEVIATIONS = """\
Mean ± *standard deviation* of the seeds (their number), the form of the paper's Table 9. Runtimes
by the number of classes are in [performance_classes.md](performance_classes.md)."""


def regenerate(project, output=None):
    """Write tables/ and figures/ of all experiments, Figures 1 to 3 and speed; returns paths.

    What has no record is left out. `output` is results/ of the project unless given, and gets the
    folders tables/ and figures/.
    """
    output = Path(output or project.root / "results")
    products = speed.products(project) | framework.products(project)
    for name in experiments.experiment_names(project):
        lines = tables.measured(project, name, tables.committed_scale(project, name))
        if lines["AP"].notna().any():
            products |= _products(project, name, lines)
    for place, content in products.items():
        path = output / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return [output / place for place in products]


def drift(project):
    """Files in results/tables and results/figures that differ from what the records make."""
    with tempfile.TemporaryDirectory() as folder:
        made = {str(path.relative_to(folder)): path for path in regenerate(project, folder)}
        kept = {}
        for part in ("tables", "figures"):
            here = (project.root / "results").glob(f"{part}/*")
            kept |= {f"{part}/{path.name}": path for path in here}
        both = sorted(made.keys() | kept.keys())
        return [name for name in both if _content(made.get(name)) != _content(kept.get(name))]


def render(project, output=None):
    """Make tables and figures, run all notebooks, write them as pages; returns index.html's path.

    A notebook that fails still becomes a page, which shows where; after all pages follows a
    ValueError that names it.
    """
    output = Path(output or project.root / "results" / "report")
    output.mkdir(parents=True, exist_ok=True)
    regenerate(project)
    notebooks = _notebooks(project)
    bar = [(pages.address(path), pages.title(path)) for path in notebooks]
    problems = []
    for path in tqdm(notebooks, "report", unit="page", disable=None):
        executed = project.cache / "report" / path.name
        problem = _run(project, path, executed)
        problems += [f"{path.name}: {problem}"] if problem else []
        page = pages.html(nbformat.read(executed, as_version=4), pages.address(path), bar)
        (output / pages.address(path)).write_text(page, encoding="utf-8")
    if problems:
        raise ValueError("; ".join(problems))
    return output / "index.html"


def _products(project, name, lines):
    """Bytes of an experiment's tables and figures by place."""
    experiment = experiments.load_experiment(project, name)
    main, found = tables.main_variant(lines), tables.load(project, lines["scale"].iloc[0])
    texts = _texts(experiment, lines, main)
    drawn = _drawn(experiment, lines, main, found)
    for measure in FINDINGS.keys() & experiment.measures:
        more, frames, told = FINDINGS[measure](main, found)
        drawn |= {f"{name}_{key}": one for key, one in more.items()}
        texts |= {f"tables/{name}_{key}.csv": tables.csv(one) for key, one in frames.items()}
        texts[f"tables/{name}_words.md"] = _page(experiment, told)
    if audited := audit.audited(tables.chosen(found, main)):
        drawn[f"{name}_audit"] = audit.draw(audited)
        told = {"In words": audit.words(audited), "The last quarter": audit.table(audited)}
        texts[f"tables/{name}_audit.md"] = _page(experiment, told)
    pictures = {f"figures/{key}.{one.kind}": one.content() for key, one in drawn.items()}
    if "fusion" in experiment.measures:
        pictures |= fusion_figures.products(project)
    return {place: text.encode() for place, text in texts.items()} | pictures


def _page(experiment, told):
    """Markdown of what an experiment's measure found: sentences, and tables under their titles."""
    parts = [f"# {experiment.title}", f"The paper: {experiment.claim}"]
    for title, one in told.items():
        grid = one.to_markdown(disable_numparse=True) if hasattr(one, "to_markdown") else None
        parts += [f"## {title}", grid or "\n".join(f"- {each}" for each in one)]
    return "\n\n".join(parts) + "\n"


def _texts(experiment, lines, main):
    """Tables of every metric and of the differences: CSV, and one Markdown page."""
    every = [tables.table(lines, metric).assign(metric=metric) for metric in tables.seen(lines)]
    effects = tables.effects(experiment.contrasts, lines)
    frames = [frame for frame in (tables.table(lines), effects) if len(frame)]
    grids = [tables.readable(frame) for frame in frames]
    grids = [grid.to_markdown(disable_numparse=True) for grid in grids]
    if experiment.data_set:
        spread = vocabulary_tables.deviations(experiment, main)
        grids += [DEVIATIONS, spread.to_markdown(disable_numparse=True)]
    heading = [f"# {experiment.title}", f"The paper: {experiment.claim}"]
    page = "\n\n".join([*heading, *grids, NOTE.format(scale=lines["scale"].iloc[0])])
    place = f"tables/{experiment.name}"
    texts = {f"{place}.csv": tables.csv(pd.concat(every)), f"{place}.md": page}
    return texts | ({f"{place}_effects.csv": tables.csv(effects)} if len(effects) else {})


def _drawn(experiment, lines, main, found):
    """Pictures that any experiment may have, by name."""
    name, chosen = experiment.name, tables.chosen(found, main)
    drawn = {name: figures.ablation(lines, experiment.contrasts)}
    drawn[f"{name}_curves"] = figures.curves(chosen, tables.row_names(main))
    if groups := vocabulary_tables.by_group(main):
        drawn[f"{name}_groups"] = figures.ablation(vocabulary_tables.by_metric(main, groups))
    if scenes := tables.of_scenes(tables.chosen(found, tables.examples(main))):
        drawn[f"{name}_scenes"] = figures.scenes(scenes)
    return drawn


FINDINGS = {  # by measure; fusion has its own
    "calibration": calibration_figures.findings,
    "posterior": posterior_figures.findings,
}


def _run(project, path, executed):
    """Run a page's notebook; once more if a cell takes too long: it hangs, or still trains."""
    problem = run_notebook(project, path, executed, timeout=CELL_S)
    if problem.startswith("CellTimeoutError"):
        problem = run_notebook(project, path, executed, timeout=CELL_S)
    return problem


def _content(path):
    return path.read_bytes() if path else None


def _notebooks(project):
    """The report's notebooks: its front page, those of the experiments, the others."""
    folder, names = project.root / "notebooks", experiments.experiment_names(project)
    found = sorted(path.name for path in folder.glob("*.ipynb") if path.name != TRAIN_EVAL.name)
    asked = [experiments.load_experiment(project, name).notebook for name in names]
    experiments.refuse_unknown("notebook", asked, found)
    return [folder / name for name in dict.fromkeys([f"{pages.INDEX}.ipynb", *asked, *found])]
