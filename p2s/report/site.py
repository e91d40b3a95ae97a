"""The report: tables and figures from records, and HTML pages that need no network.

Nothing in it is typed by hand. What git keeps of it, results/tables and results/figures, is made
again and compared by `drift`; the pages are the executed notebooks.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from itertools import chain, repeat
from multiprocessing import get_context
from pathlib import Path

import click
import nbformat
from tqdm import tqdm

from p2s.report import experiment, front, pages
from p2s.report.figures import framework, speed
from p2s.report.products import Products
from p2s.report.results import COMMITTED, committed_scale, results
from p2s.study.experiments import refuse_unknown
from p2s.study.project import TRAIN_EVAL, Project
from p2s.study.runner import run_notebook
from p2s.study.study import Study

FEW = 200  # records, of which pictures are drawn before another process has started
CELL_S = 1800  # seconds that a cell of a page may take: the quickstart trains for minutes


def regenerate(project: Project, output: Path | None = None) -> list[Path]:
    """Write tables/ and figures/ of all experiments, Figures 1 to 3 and speed; returns paths.

    What has no record is left out. `output` is results/ of the project unless given, and gets the
    folders tables/ and figures/; without it the README's table of results is made anew too.
    """
    _loaded.cache_clear()  # records may be new
    readme = project.root / "README.md"
    if output is None and readme.exists():
        readme.write_text(front.filled(_loaded(project), readme.read_text()))
    output, written = Path(output or project.root / "results"), []
    for place, content in _products(project):
        path = output / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        written.append(path)
    return written


def drift(project: Project) -> list[str]:
    """What differs from what the records make: tables, figures, and the README's results."""
    with tempfile.TemporaryDirectory() as folder:
        made = {str(path.relative_to(folder)): path for path in regenerate(project, folder)}
        kept = {}
        for part in ("tables", "figures"):
            here = (project.root / "results").glob(f"{part}/*")
            kept |= {f"{part}/{path.name}": path for path in here}
        both = sorted(made.keys() | kept.keys())
        changed = [name for name in both if _content(made.get(name)) != _content(kept.get(name))]
        return changed + _stale_readme(project)


def render(project: Project, output: Path | None = None) -> Path:
    """Make tables and figures, run all notebooks, write them as pages; returns index.html's path.

    Tells a line a page.

    A notebook that fails still becomes a page, which shows where; after all pages follows a
    ValueError that names it.
    """
    output = Path(output or project.root / "results" / "report")
    output.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    written = regenerate(project)
    click.echo(f"{len(written)} tables and figures, {time.monotonic() - start:.0f} s")
    notebooks = _notebooks(project)
    index = [(pages.address(path), pages.title(path)) for path in notebooks]
    with tqdm(notebooks, "report", unit="page", disable=None) as bar:  # in a terminal only
        problems = [_write_page(project, path, output, index) for path in bar]
    if told := "; ".join(filter(None, problems)):
        raise ValueError(told)
    return output / "index.html"


def _write_page(project, path, output, index):
    """Run a notebook and write its page; returns what is wrong, with its name, or ""."""
    start, executed = time.monotonic(), project.cache / "report" / path.name
    problem = _run(project, path, executed)
    page = pages.html(nbformat.read(executed, as_version=4), pages.address(path), index)
    (output / pages.address(path)).write_text(page, encoding="utf-8")
    told = f"page {pages.address(path)}, {time.monotonic() - start:.0f} s"
    tqdm.write(f"{told}: {problem}" if problem else told)
    return f"{path.name}: {problem}" if problem else ""


def _products(project) -> Iterator[tuple[str, bytes]]:
    """Place and bytes of everything that git keeps of the report."""
    study = _loaded(project)
    spawned = get_context("spawn")  # a forked process may hang in torch, whose threads it lacks
    with ProcessPoolExecutor(min(os.cpu_count() or 1, 8), mp_context=spawned) as pool:
        spread = pool.map if len(study.records) >= FEW else map
        drawn = spread(_of_experiment, repeat(project), study.experiments)
        yield from speed.products(project).files("performance").items()
        yield from Products(framework.pictures(study)).files("").items()
        yield from chain.from_iterable(made.items() for made in drawn)


def _of_experiment(project, name) -> dict[str, bytes]:
    """The same of an experiment; nothing without a record."""
    study = _loaded(project)
    here = study.at(committed_scale(study, name))
    answer = results(here, name)
    if answer.of("AP")["value"].isna().all():
        return {}
    made = [products.files(name) for products in experiment.products(answer, here)]
    return dict(chain.from_iterable(files.items() for files in made))


@lru_cache(maxsize=1)
def _loaded(project):
    return Study.load(project, COMMITTED[0])


def _run(project, path, executed):
    """Run a page's notebook; once more if a cell takes too long: it hangs, or still trains."""
    problem = run_notebook(project, path, executed, timeout=CELL_S)
    if problem.startswith("CellTimeoutError"):
        problem = run_notebook(project, path, executed, timeout=CELL_S)
    return problem


def _stale_readme(project):
    path = project.root / "README.md"
    text = path.read_text() if path.exists() else ""
    study = _loaded(project)
    return ["README.md"] if text and front.filled(study, text) != text else []


def _content(path):
    return path.read_bytes() if path else None


def _notebooks(project):
    """The report's notebooks: its front page, those of the experiments, the others."""
    folder, study = project.root / "notebooks", Study.load(project, COMMITTED[0])
    here = sorted(path.name for path in folder.glob("*.ipynb") if path.name != TRAIN_EVAL.name)
    asked = [wanted.notebook for wanted in study.experiments.values()]
    refuse_unknown("notebook", asked, here)
    return [folder / name for name in dict.fromkeys([f"{pages.INDEX}.ipynb", *asked, *here])]
