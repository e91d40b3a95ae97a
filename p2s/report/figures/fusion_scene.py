"""One picture whose detections change with the powers of P(C|O) and P(O) and with the threshold.

D detections, G objects, R rows before NMS.
"""

from dataclasses import dataclass

import numpy as np
import torch
from ipywidgets import FloatSlider, Image, VBox
from torch import Tensor

from p2s.data import glyphs
from p2s.data.glyphs import ink
from p2s.maths.geometry import pairwise_iou
from p2s.maths.likelihood import FUSIONS, fuse
from p2s.maths.selection import select
from p2s.report.results import Results
from p2s.report.style import COLOURS, INK, Photographs, box, styled, tag
from p2s.spec import Glyphs

COLOUR = {True: COLOURS[2], False: COLOURS[1]}  # of a detection that is right, and wrong
OVERLAP = 0.5  # IoU with an object above which a detection may be right
SIDE = 4.2  # inches


@dataclass(frozen=True)
class Scene:
    """A validation picture, its objects, and what a detector said of it before NMS."""

    image: np.ndarray  # (H, W, 3)
    objects: Tensor  # (G, 5): x1, y1, x2, y2, class
    rows: Tensor  # (R, 7): x1, y1, x2, y2, class, P(C|O), P(O)
    nms: float

    def detections(self, class_power: float, object_power: float, threshold: float) -> Tensor:
        """Rows (x1, y1, x2, y2, class, score) above a threshold after NMS, best first: (D, 6)."""
        p_class, p_object = self.rows[:, 5:6], self.rows[:, 6:]
        kept = torch.cat([self.rows[:, :5], fuse(p_class, p_object, class_power, object_power)], 1)
        boxes, scores, classes = kept[:, :4], kept[:, 5], kept[:, 4].long()
        return kept[select(boxes, scores, classes, threshold, self.nms, len(kept))[0]]

    def right(self, detections: Tensor) -> list[bool]:
        """Whether each detection is the likeliest on an object of its class, as a list (D,)."""
        same = detections[:, 4:5] == self.objects[:, 4]  # (D, G)
        overlap, right = pairwise_iou(detections[:, :4], self.objects[:, :4]) * same, []
        for row in range(len(detections) if len(self.objects) else 0):
            best = int(overlap[row].argmax())
            right.append(bool(overlap[row, best] > OVERLAP))
            overlap[:, best] *= not right[-1]  # an object is found once
        return right or [False] * len(detections)

    @styled
    def drawn(
        self, class_power: float = 1.0, object_power: float = 1.0, threshold: float = 0.3
    ) -> Photographs:
        """The detections by one score as a picture: green where right, orange where not."""
        figure = Photographs(figsize=(SIDE, SIDE))
        panel = figure.add_axes((0, 0, 1, 1))
        _draw(panel, self, (class_power, object_power), threshold)
        powers = f"powers {class_power:g} of P(C|O) and {object_power:g} of P(O)"
        figure.alt = f"Detections above {threshold:g} with {powers}: {panel.get_title()}."
        return figure

    def explored(self) -> VBox:
        """The picture under three sliders, drawn again as one moves (a VBox, the picture last).

        An Image, not ipywidgets' `interact`: nbclient may lose the reply of a cell that fills an
        Output widget, and then waits for ever (its issue 312).
        """
        sliders = [
            FloatSlider(1, min=0.25, max=2, step=0.25, description="class_power"),
            FloatSlider(1, min=0, max=2, step=0.125, description="object_power"),
            FloatSlider(0.3, min=0.05, max=0.95, step=0.05, description="threshold"),
        ]
        picture = Image(format="png")

        def draw(_=None):
            picture.value = self.drawn(*(slider.value for slider in sliders)).content()

        for slider in sliders:
            slider.observe(draw, "value")
        draw()
        return VBox([*sliders, picture])

    @styled
    def by_name(self, threshold: float = 0.3) -> Photographs:
        """The same for the named powers, side by side."""
        side = 0.8 * SIDE
        figure = Photographs(figsize=(side * len(FUSIONS), side))
        space = {"left": 0, "right": 1, "bottom": 0, "top": 1, "wspace": 0.04}
        panels = figure.subplots(1, len(FUSIONS), gridspec_kw=space)
        for panel, (name, powers) in zip(panels, FUSIONS.items(), strict=True):
            _draw(panel, self, powers, threshold)
            panel.set_title(f"{name}: {panel.get_title()}", size=9)
        counts = "; ".join(panel.get_title() for panel in panels)
        figure.alt = f"Detections above {threshold:g} by the named scores, {counts}."
        return figure


def scene(results: Results, row: str, index: int = 0) -> Scene | None:
    """The Scene of this place among a row's pictures, of the first seed that has a record.

    None without a record, and of photographs, which cannot be drawn again from their seed.
    """
    kept = [
        (run.spec, finding["pictures"][index])
        for run, finding in results.findings("fusion")
        if finding and run.row == row
    ]
    if not kept or not isinstance(kept[0][0].data, Glyphs):
        return None
    spec, picture = kept[0]
    image, objects = glyphs.scene(spec.data, "val", picture["image_id"])
    sides = np.array([glyph["bbox"] for glyph in objects], np.float32).reshape(-1, 4)
    labels = np.array([[glyph["label"]] for glyph in objects], np.float32).reshape(-1, 1)
    truth = np.hstack([sides[:, :2], sides[:, :2] + sides[:, 2:], labels])
    rows = torch.tensor(picture["rows"]).reshape(-1, 7)
    return Scene(image, torch.from_numpy(truth), rows, spec.test.nms)


def _draw(panel, shown, powers, threshold):
    """A picture with its detections, and how many are right, wrong, and missing."""
    detections = shown.detections(*powers, threshold)
    right = shown.right(detections)
    panel.axis("off")
    panel.imshow(shown.image, interpolation="nearest")
    for (*corners, label, score), is_right in zip(detections.tolist(), right, strict=True):
        box(panel, corners, COLOUR[is_right], 1)
        words = f"{ink.CHARACTERS[int(label)]} {score:.2f}"
        tag(panel, corners[:2], words, COLOUR[is_right], size=7)
    count, missed = sum(right), len(shown.objects) - sum(right)
    words = f"{count} right, {len(right) - count} wrong, {missed} missed"
    panel.set_title(words, size=9, color=INK)
