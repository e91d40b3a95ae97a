"""The report: tables and figures from records, and HTML pages that need no network.

Nothing in it is typed by hand. What git keeps of it, results/tables and results/figures, is made
again and compared by `drift`; the pages are the executed notebooks.
"""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from itertools import chain, repeat
from multiprocessing import get_context
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import click
import nbformat
from tqdm import tqdm

from p2s.files import write_atomic
from p2s.report import experiment, front, ledger, menu, pages
from p2s.report.figures import framework, speed
from p2s.report.ledger import EXAMINED
from p2s.report.products import Products
from p2s.report.results import COMMITTED, committed_scale, results
from p2s.report.tables import costs, reproduced
from p2s.scratch import scratch
from p2s.study.experiments import refuse_unknown
from p2s.study.project import TRAIN_EVAL, Project
from p2s.study.runner import run_notebook
from p2s.study.study import Study

FEW = 200  # records, of which pictures are drawn before another process has started
EMPTY = ", no records"  # of the name of a page whose experiments have none
CELL_S = 1800  # seconds that a cell of a page may take: the quickstart trains for minutes


def regenerate(project: Project, output: Path | None = None) -> list[Path]:
    """Write tables/ and figures/ of all experiments, Figures 1 to 3, speed and claims; the paths.

    What has no record is left out. `output` is results/ of the project unless given, and gets the
    folders tables/ and figures/; without it the README's table of results is made anew too.
    """
    _loaded.cache_clear()  # records may be new
    readme = project.root / "README.md"
    if output is None and readme.exists():
        write_atomic(readme, front.filled(_loaded(project), readme.read_text()).encode())
    output, written = Path(output or project.root / "results"), []
    for place, content in _products(project):
        path = output / place
        write_atomic(path, content)
        written.append(path)
    return written


def drift(project: Project) -> list[str]:
    """What differs from what the records make: tables, figures, and the README's results."""
    with scratch() as folder:
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
    wanted = sheets(project)
    every = listed(wanted)
    for stale in output.glob(menu.address(f"{EXAMINED}#*")):
        stale.unlink()  # of a claim that is opposite no more
    with tqdm(wanted, "report", unit="page", disable=None) as bar:  # in a terminal only
        problems = [_write_page(project, sheet, output, every) for sheet in bar]
    if told := "; ".join(filter(None, problems)):
        raise ValueError(told)
    return output / "index.html"


class Sheet(NamedTuple):
    """A page to write: of which notebook, where, and with which parameters."""

    notebook: Path
    entry: menu.Entry
    values: Mapping[str, str] = MappingProxyType({})

    def executed(self, project: Project) -> Path:
        """Where the executed copy of the notebook is."""
        of_values = f"{Path(self.entry.address).stem}.ipynb"
        return project.cache / "report" / (of_values if self.values else self.notebook.name)


def sheets(project: Project) -> list[Sheet]:
    """All pages: those of the menu in its order, then those of opposite claims, which it lacks."""
    index = menu.entries(_notebooks(project))
    index = {path: _told(project, path, entry) for path, entry in index.items()}
    return [Sheet(path, entry) for path, entry in index.items()] + _examined(project, index)


def listed(every: Sequence[Sheet]) -> list[menu.Entry]:
    """The pages that the menu has."""
    return [sheet.entry for sheet in every if not sheet.values]


def _told(project, notebook, entry):
    """The entry of a notebook; one whose experiments have no table yet says so in the menu."""
    experiments = _loaded(project).experiments.values()
    names = [one.name for one in experiments if one.notebook == notebook.name]
    tables = [project.root / "results" / "tables" / f"{name}.csv" for name in names]
    is_empty = names and not any(table.exists() for table in tables)
    return entry._replace(name=f"{entry.name}{EMPTY}") if is_empty else entry


def _examined(project, index) -> list[Sheet]:
    """A page of the same notebook for each claim that came out opposite."""
    notebook = project.root / "notebooks" / EXAMINED
    known = ledger.Ledger.of(_loaded(project)) if notebook in index else None
    if known is None:
        return []
    of_claims = {claim: menu.address(f"{EXAMINED}#{claim}") for claim in known.examined()}
    entry = index[notebook]
    return [
        Sheet(notebook, entry._replace(address=place), {"claim": claim})
        for claim, place in of_claims.items()
    ]


def _write_page(project, sheet, output, every):
    """Run a notebook and write its page; returns what is wrong, with its name, or ""."""
    start, address, made = time.monotonic(), sheet.entry.address, sheet.executed(project)
    problem = _run(project, sheet.notebook, made, sheet.values)
    text = pages.html(nbformat.read(made, as_version=4), sheet.entry, every)
    write_atomic(output / address, text.encode())
    told = f"page {address}, {time.monotonic() - start:.0f} s"
    tqdm.write(f"{told}: {problem}" if problem else told)
    return f"{sheet.notebook.name}: {problem}" if problem else ""


def _products(project) -> Iterator[tuple[str, bytes]]:
    """Place and bytes of everything that git keeps of the report."""
    study = _loaded(project)
    spawned = get_context("spawn")  # a forked process may hang in torch, whose threads it lacks
    with ProcessPoolExecutor(min(os.cpu_count() or 1, 8), mp_context=spawned) as pool:
        spread = pool.map if len(study.records) >= FEW else map
        drawn = spread(_of_experiment, repeat(project), study.experiments)
        yield from speed.products(project).files("performance").items()
        yield from Products(framework.pictures(study)).files("").items()
        yield from costs.products(study).files("costs").items()
        yield from reproduced.products(project).files("reproduced").items()
        yield from ledger.products(study).files("claims").items()
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


def _run(project, path, executed, values):
    """Run a page's notebook; once more if a cell takes too long: it hangs, or still trains."""
    problem = run_notebook(project, path, executed, dict(values), timeout=CELL_S)
    if problem.startswith("CellTimeoutError"):
        problem = run_notebook(project, path, executed, dict(values), timeout=CELL_S)
    return problem


def _stale_readme(project):
    path = project.root / "README.md"
    text = path.read_text() if path.exists() else ""
    study = _loaded(project)
    return ["README.md"] if text and front.filled(study, text) != text else []


def _content(path):
    return path.read_bytes() if path else None


def _notebooks(project):
    """The notebooks that become pages."""
    folder, study = project.root / "notebooks", Study.load(project, COMMITTED[0])
    here = [path for path in folder.glob("*.ipynb") if path.name != TRAIN_EVAL.name]
    asked = [wanted.notebook for wanted in study.experiments.values()]
    refuse_unknown("notebook", asked, sorted(path.name for path in here))
    return here
