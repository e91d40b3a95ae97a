"""What the notebooks of tables share: a page of an experiment, shown part by part."""

from dataclasses import dataclass
from functools import cached_property

from IPython.display import Markdown, display

from p2s.report.figures import ablation as figures
from p2s.report.figures import curves, scenes
from p2s.report.intervals import RULE
from p2s.report.products import bullets
from p2s.report.results import Results, results
from p2s.report.tables import ablation as tables
from p2s.report.tables import origins, speed
from p2s.study.project import Project
from p2s.study.study import Study


@dataclass(frozen=True, eq=False)
class Page:
    """An experiment at a scale, as a notebook shows it; each method displays what it says."""

    study: Study
    name: str  # of the experiment

    @classmethod
    def of(cls, root: str, scale: str, name: str) -> "Page":
        """The page of an experiment of the project that holds `root`."""
        return cls(Study.load(Project.at(root), scale), name)

    @cached_property
    def results(self) -> Results:
        """The Results behind it."""
        return results(self.study, self.name)

    @cached_property
    def effects(self):
        """The experiment's differences, see `tables.ablation.effects`."""
        return tables.effects(self.results)

    def question(self):
        """Question and claim as the experiment's file states them, and the rule of verdicts."""
        experiment = self.results.experiment
        display(Markdown(f"{experiment.question}\n\n> {experiment.claim}\n\n{RULE}"))

    def answer(self):
        """AP of rows and variants as a picture and a table, the differences, the verdicts."""
        display(*figures.ablations(self.results))
        display(tables.readable(tables.table(self.results)))
        display(tables.readable(self.effects))
        main = self.results.runs[0].variant if self.results.runs else ""
        said = tables.words(self.effects[self.effects["variant"] == main])
        display(Markdown(bullets(said)))

    def metric(self, name: str):
        """Another metric of the first variant as a table."""
        display(tables.readable(tables.table(self.results.main, name)))

    def runtimes(self, kind: str = ""):
        """Runtimes measured at full size beside the paper's: of the rows, or of another bench."""
        times = speed.frames(self.study.project).get(kind or speed.rows_of(self.name))
        command = kind or f"rows {self.name}"
        missing = Markdown(f"Not measured on this copy: `p2s bench {command}`.")
        display(missing if times is None else speed.readable(times))

    def evidence(self):
        """What the verdicts rest on: other metrics, scenes, losses, and where records were made."""
        main = self.results.main
        display(tables.beside(main))
        if examples := main.examples:
            display(scenes.scenes(examples))
        display(curves.curves(main))
        made = origins.origins(self.study)
        display(made.style.hide().format({"training hours": "{:.1f}"}))
