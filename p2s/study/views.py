"""Views: what Figure 1 shows of one scene, as a record that git can keep."""

from typing import Any, Literal

from p2s.spec.part import Part
from p2s.study import records
from p2s.study.project import Project
from p2s.study.runs import Run
from p2s.study.study import find

NONE = (
    "No record here: `make study SCALE=smoke` trains a CenterNet2 in minutes, then "
    "`p2s study framework --scale smoke` makes one."
)
SCALES = ("desk", "smoke")  # whose scenes can be drawn again, the better trained first
# Whose training is looked at: the first seed's of the paper's own framework.
ROW = {
    "experiment": "table5",
    "row": "CascadeRCNN-CenterNet w. prob.",
    "variant": "scores above .05",
}


class Observation(Part):
    """All that a two-stage detector said of an image, rounded; boxes are in its pixels."""

    image_id: int
    cell: float  # pixels a side of a cell of the heat map
    heat: list[list[float]]  # P(O): of each cell the most on any level
    proposals: list[list[float]]  # x1, y1, x2, y2, P(O), the likeliest first
    p_class: list[list[float]]  # P(C|O) of each proposal, background last
    detections: list[list[float]]  # x1, y1, x2, y2, score, class, P(O), P(C|O)


class View(Part):
    """What a trained detector said of a synthetic scene, which is drawn again from its seed."""

    schema_version: Literal[1] = 1
    id: str  # the training's, and the image's number
    training_id: str
    detector: str
    scale: Literal["desk", "smoke"]
    seed: int
    data: dict[str, Any]  # spec.Glyphs
    weights: str  # SHA-256, as in the records of its evaluations
    seen: Observation
    git: dict[str, str | bool | None] = {}
    versions: dict[str, str] = {}
    machine: dict[str, str | int | None] = {}
    created: str = ""


def run(project: Project, scale: str) -> Run:
    """The Run whose trained model is looked at."""
    return find(project, scale=scale, seed=0, **ROW)


def latest(project: Project) -> View | None:
    """The newest View by the best trained scale that has one, or None.

    One of another training than the project's own, of other settings or scenes, is none.
    """
    kept, _ = records.survey(project.views, View)
    for scale in SCALES:
        training = run(project, scale).training_id
        views = [view for view in kept.values() if view.training_id == training]
        if views:
            return max(views, key=lambda view: view.created)
    return None


def origin(view: View | None) -> str:
    """What a view is of, in a sentence of Markdown; without one, how to make it."""
    if view is None:
        return NONE
    of = f"{view.detector} at scale **{view.scale}**, seed {view.seed}"
    weak = "; at this scale a network hardly learns, so its picture claims nothing"
    return f"{of}, training `{view.training_id}`{weak if view.scale == 'smoke' else ''}"
