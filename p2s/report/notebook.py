"""What the notebooks of tables share: a page of an experiment, shown part by part."""

from dataclasses import dataclass
from functools import cached_property

import pandas as pd
from IPython.display import Markdown, display

from p2s.data.glyphs import vocabulary as of_scenes
from p2s.report import marks, verdicts
from p2s.report.figures import ablation as figures
from p2s.report.figures import curves, scenes, steps
from p2s.report.figures.gate import lengths
from p2s.report.intervals import RULE
from p2s.report.products import bullets
from p2s.report.results import COMMITTED, GATED, Results, committed_scale, results
from p2s.report.tables import ablation as tables
from p2s.report.tables import gate, judged, origins, speed, summary, vocabulary
from p2s.study.project import Project
from p2s.study.study import Study

pd.set_option("display.max_colwidth", None)  # a cell says its whole verdict

LARGE = """\
How rare the classes of the scale model are in training. At scale `desk` all rows, one-stage
detectors too, train by AdamW at one rate, and from a trunk that has learnt to read glyphs, of all
characters and styles alike often, but of no class: by gradient descent from nothing a large
vocabulary does not start in so few iterations. A shape that is rare in training is therefore not
new to the trunk, as with ImageNet's weights."""
SUMMARY = """\
Row by row: AP in percent, mean ± half of the 95 % interval over seeds (number of seeds), and what
the paper prints; then its differences from other rows. A seed leads to its record."""
CELLS = """\
AP in percent: mean ± half of the 95 % interval over seeds (number of seeds). A dash means that
there is no record."""
DIFFERENCES = """\
The differences that the claim is about, paired seed by seed, each with its verdict. Below, in
words, those of the first variant."""
ERRORS = "What each kind of error costs in AP50"
QUOTED = """\
The other rows of the paper's table, as published: of detectors that are not here, or of means that
nobody has here. They are in no picture."""
TIMES = """\
Measured here at full size: ResNet-50, 800 × 1088 pixels, random weights with biases that keep all
proposals alive, not compiled. The paper's are of its GPU; a dash stands where it prints none."""
OTHERS = """\
Everything else that was measured, in percent: mean ± half of the 95 % interval over seeds (number
of seeds). The recall of the proposals bounds what any score can reach; that of a one-stage detector
is of its detections."""
SCENES = """\
Four validation scenes, the same for all, one detector a first stage: proposals above a P(O) of .3,
fainter the less sure they are, and detections with the character they were taken for."""
LOSSES = """\
Losses of the seeds, and their mean. Those of different names or first stages are not on one scale;
the question is whether each has come to rest."""
ORIGIN = "Where the records were made that every number above is computed from."


@dataclass(frozen=True, eq=False)
class Page:
    """An experiment at a scale, as a notebook shows it; each method displays what it says."""

    study: Study
    name: str  # of the experiment

    @classmethod
    def of(cls, root: str, scale: str, name: str) -> "Page":
        """The page of an experiment of the project that holds `root`.

        Of scale "committed" are the records that its committed tables are made of.
        """
        if scale != "committed":
            return cls(Study.load(Project.at(root), scale), name)
        study = Study.load(Project.at(root), COMMITTED[0])
        return cls(study.at(committed_scale(study, name)), name)

    @cached_property
    def results(self) -> Results:
        """The Results behind it."""
        return results(self.study, self.name)

    @property
    def _of_first(self):
        """The effects of the first variant."""
        return self.effects[self.effects["variant"] == self.results.main.runs[0].variant]

    @property
    def _rule(self):
        """How verdicts are reached, folded on a page."""
        rule = verdicts.RULE if self.results.scale in GATED else RULE
        return Markdown(rule, metadata={"fold": "How an interval becomes a verdict"})

    @cached_property
    def effects(self) -> pd.DataFrame:
        """The experiment's differences, see `tables.judged.effects`."""
        return judged.effects(self.results, self.study)

    def question(self) -> None:
        """Question and claim as the experiment's file states them, and the rule of verdicts."""
        experiment = self.results.experiment
        display(Markdown(f"{experiment.question}\n\n> {experiment.claim}"), self._rule)

    def summary(self) -> None:
        """The answer in two sentences, then row by row beside the paper's, then as a picture."""
        main, claim = self.results.main, Markdown(f"> The paper: {self.results.experiment.claim}")
        if self._is_missing():
            display(claim)
            return
        effects = self._of_first
        display(Markdown(summary.sentences(main, effects)), claim)
        display(Markdown(SUMMARY), summary.readable(main, effects))
        display(figures.ablation(main), self._rule)

    def classes(self) -> None:
        """Classes of a large vocabulary by group: how many, and training images of a class."""
        data = self.results.runs[0].spec.data
        drawn = data.kind == "glyphs"
        missing = Markdown("The scenes are files: not counted here.")
        display(Markdown(LARGE), pd.DataFrame(of_scenes.table(data)) if drawn else missing)

    def answer(self) -> None:
        """AP of rows and variants as a picture and a table, the differences, the verdicts."""
        if self._is_missing():
            return
        display(*figures.ablations(self.results))
        display(Markdown(CELLS), tables.readable(tables.table(self.results), self.results.said))
        display(Markdown(DIFFERENCES), tables.readable(self.effects, self.results.said))
        said = tables.words(self._of_first, self.results.said)
        display(Markdown(bullets(said)))

    def quoted(self) -> None:
        """What the paper's table has besides, as it is published."""
        display(Markdown(QUOTED), tables.quoted(self.results))

    def steps(self) -> None:
        """The experiment's own picture of its differences, and these in the first variant."""
        if self._is_missing():
            return
        display(steps.PICTURES[self.results.experiment.picture](self.results))
        display(Markdown(DIFFERENCES), tables.readable(self._of_first, self.results.said))

    def _is_missing(self):
        """Whether the scale has no run of the experiment, which is then told."""
        if not self.results.runs:
            display(Markdown(f"Scale {self.results.scale} does not have this."))
        return not self.results.runs

    def gate(self) -> None:
        """The points of the gate, AP against the length of training, and errors beside COCO's."""
        points = gate.readable(gate.points(self.results)).reset_index()
        display(marks.table(points, "met"), lengths(self.results))
        display(Markdown(f"{ERRORS}; the last line: {gate.EXAMPLE}."), gate.errors(self.results))

    def learnt(self) -> None:
        """Whether precursors have learnt and stand as the paper's, point by point."""
        points = gate.readable(judged.points(self.study)).reset_index()
        display(marks.table(points, "met"))

    def metric(self, *names: str) -> None:
        """Other metrics of the first variant, a table each, beside the paper's."""
        for name in names:
            frame = tables.table(self.results.main, name)
            display(tables.readable(frame, self.results.said))

    def panels(self, *metrics: str) -> None:
        """Metrics of the first variant as a picture, a panel each."""
        display(figures.by_metric(self.results, metrics))

    def deviations(self) -> None:
        """The first variant in the form of the paper's Table 9, see `vocabulary.deviations`."""
        display(vocabulary.deviations(self.results.main))

    def others(self, variant: str) -> None:
        """Every metric but AP of a variant; of many metrics each is a line."""
        grid = tables.beside(self.results.only(variant))
        many = grid.shape[1] > max(len(grid), tables.WIDE)
        display(Markdown(f"**{variant}**"), grid.T if many else grid)

    def runtimes(self, kind: str = "") -> None:
        """Runtimes measured at full size beside the paper's: of the rows, or of another bench."""
        times = speed.frames(self.study.project).get(kind or speed.rows_of(self.name))
        command = kind or f"rows {self.name}"
        missing = Markdown(f"Not measured on this copy: `p2s bench {command}`.")
        display(Markdown(TIMES), missing if times is None else speed.readable(times))

    def evidence(self) -> None:
        """What the verdicts rest on: other metrics, scenes, losses, and where records were made."""
        main = self.results.main
        display(Markdown(OTHERS))
        self.others(main.runs[0].variant if main.runs else "")
        if examples := main.examples:
            display(Markdown(SCENES), scenes.scenes(examples))
        display(Markdown(LOSSES), curves.curves(main))
        made = origins.origins(self.study)
        display(
            Markdown(ORIGIN), made.style.hide().format({"training hours": "{:.1f}"}, escape="html")
        )
