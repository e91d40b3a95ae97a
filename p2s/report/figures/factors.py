"""Figure 1: what a trained detector says of one scene, from P(O) to the score."""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.colors import LinearSegmentedColormap
from torchvision.ops import nms

from p2s.data import glyphs
from p2s.report.style import COLOURS, INK, SHOWN_ABOVE, Photographs, blank, box, styled, tag
from p2s.spec import Glyphs
from p2s.study.views import Observation, View

FIRST, SECOND = COLOURS[:2]  # what is of the first stage, of the second
HEAT = LinearSegmentedColormap.from_list("heat", ["#0d1117", FIRST, "#ffffff"])
CARDS, OUTCOMES = 5, 3  # proposals whose P(C|O) is shown, and the likeliest classes of each
APART = 0.5  # the most IoU of two of them
BACKGROUND = "bg"
SECOND_STAGE = "second stage: P(C|O) of each numbered proposal, broad; P(C), Eq. 1, narrow"


def of_view(view: View) -> Photographs:
    """Figure 1 of a View, its scene drawn again from the seed."""
    data = Glyphs(**view.data)
    image, _ = glyphs.scene(data, "val", view.seen.image_id)
    return factors(image, view.seen, glyphs.names(data))


@styled
def factors(image: np.ndarray, seen: Observation, classes: Sequence[str]) -> Photographs:
    """Figure 1: P(O) of an image (H, W, 3), P(C|O) of proposals, and P(C) of both (Eq. 1).

    Proposals with a number are the likeliest that overlap no likelier one by more than half.
    """
    figure = Photographs(figsize=(9, 5.4), layout="constrained")
    upper, lower = figure.subfigures(2, 1, height_ratios=(1, 1.12))
    _stages(upper.subplots(1, 4), image, seen, classes)
    lower.suptitle(SECOND_STAGE, size=9.5, color=SECOND)
    cards = blank(lower.subplots(2, CARDS, height_ratios=(1.35, 1)))
    for number, (row, card) in enumerate(zip(apart(seen), cards.T, strict=False), 1):
        *corners, p_object = seen.proposals[row]
        _crop(card[0], image, corners)
        card[0].set_title(f"{number}:  P(O) = {p_object:.2f}", size=9, color=FIRST)
        _outcomes(card[1], np.array(seen.p_class[row]), p_object, classes)
    figure.alt = _said(seen, classes)
    return figure


def joint(p_class: np.ndarray, p_object: float) -> np.ndarray:
    """P(C) of all classes, background last, from P(C|O) and P(O) (Eq. 1)."""
    no_object = np.zeros_like(p_class)
    no_object[-1] = 1 - p_object
    return p_class * p_object + no_object


def apart(seen: Observation) -> list[int]:
    """Rows of the likeliest proposals that overlap no likelier one of them much, for the cards."""
    proposals = torch.tensor(seen.proposals).reshape(-1, 5)
    return nms(proposals[:, :4], proposals[:, 4], APART)[:CARDS].tolist()


def _said(seen, classes):
    """The detections that are drawn, in words."""
    scores = [
        f"{classes[int(label)]} {score:.2f} = {p_class:.2f} × {p_object:.2f}"
        for *_, score, label, p_object, p_class in seen.detections
        if score > SHOWN_ABOVE
    ]
    said = "; ".join(scores) or "none"
    return f"One scene, its P(O), proposals and detections; P(C) = P(C|O) P(O) of these: {said}."


def _stages(panels, image, seen, classes):
    """The image, its heat map, its proposals and its detections."""
    titles = {"image": INK, "first stage: P(O)": FIRST, "its proposals": FIRST}
    titles |= {"score: P(C|O) P(O)": SECOND}
    for panel, (title, colour) in zip(blank(panels), titles.items(), strict=True):
        panel.set_title(title, color=colour, size=9.5)
        panel.imshow(image, interpolation="nearest")
    _heat(panels[1], image, seen)
    for *corners, p_object in seen.proposals:
        if p_object > SHOWN_ABOVE:
            box(panels[2], corners, FIRST, p_object, lw=0.7)
    for number, row in enumerate(apart(seen), 1):
        box(panels[2], seen.proposals[row][:4], FIRST, 1)
        tag(panels[2], seen.proposals[row][:2], str(number), FIRST)
    for *corners, score, label, _, _ in seen.detections:
        if score > SHOWN_ABOVE:
            box(panels[3], corners, SECOND, 1)
            tag(panels[3], corners[:2], f"{classes[int(label)]} {score:.2f}", SECOND)


def _heat(panel, image, seen):
    height, width = np.shape(seen.heat)
    extent = (-0.5, width * seen.cell - 0.5, height * seen.cell - 0.5, -0.5)
    drawn = panel.imshow(seen.heat, cmap=HEAT, vmin=0, extent=extent, interpolation="nearest")
    panel.set(xlim=(-0.5, image.shape[1] - 0.5), ylim=(image.shape[0] - 0.5, -0.5))
    bar = panel.figure.colorbar(drawn, ax=panel, location="bottom", shrink=0.9, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=8)
    bar.set_label("P(O)", size=8)


def _crop(panel, image, corners, margin=4):
    """A proposal with a little of what is around it."""
    left, top, right, bottom = corners
    panel.imshow(image, interpolation="nearest")
    box(panel, corners, FIRST, 1)
    side = max(right - left, bottom - top) / 2 + margin
    x, y = (left + right) / 2, (top + bottom) / 2
    panel.set(xlim=(x - side, x + side), ylim=(y + side, y - side))


def _outcomes(panel, p_class, p_object, classes):
    """The likeliest classes of a proposal: P(C|O) as a broad bar, P(C) as a narrow one."""
    names, p_joint = [*classes, BACKGROUND], joint(p_class, p_object)
    best = (-p_class).argsort(kind="stable")[:OUTCOMES]
    heights = np.arange(len(best))
    panel.barh(heights, p_class[best], 0.8, color=SECOND, alpha=0.3)
    panel.barh(heights, p_joint[best], 0.3, color=SECOND)
    style = {"va": "center", "size": 8.5}
    for height, k in zip(heights, best, strict=True):
        panel.text(-0.05, height, names[k], ha="right", **style)
        panel.text(1.05, height, f"{p_class[k]:.2f} → {p_joint[k]:.2f}", **style)
    panel.set(xlim=(-0.2, 1.75), ylim=(OUTCOMES - 0.5, -0.5))
