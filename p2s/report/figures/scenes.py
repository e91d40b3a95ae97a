"""Scenes of glyphs with what detectors propose and detect, from records."""

import textwrap
from collections.abc import Sequence

from p2s.data import glyphs
from p2s.report.style import PALETTE, SHOWN_ABOVE, Photographs, blank, box, styled, tag
from p2s.spec import Glyphs
from p2s.study.records import Record

SIDES = ((2, 2.4), (4, 1.55))  # inches of a scene by the number of records
SMALL = 1.15  # of more; a picture must stay below 1 MB


@styled
def scenes(records: Sequence[Record]) -> Photographs:
    """Proposals above .3 and detections of the fixed scenes of records of glyphs, side by side.

    A scene is drawn again from its seed. Proposals are the fainter
    the less P(O); detections carry the glyph they were taken for.
    """
    count = max((len(record.scenes) for record in records), default=0)
    shape = max(count, 1), 2 * max(len(records), 1)
    side = next((side for most, side in SIDES if len(records) <= most), SMALL)
    figure = Photographs(figsize=(side * shape[1], side * shape[0]))
    space = {"left": 0, "right": 1, "bottom": 0, "top": 1, "wspace": 0.03, "hspace": 0.03}
    axes = blank(figure.subplots(*shape, squeeze=False, gridspec_kw=space))
    for k, record in enumerate(records):
        colour = PALETTE[record.spec["first"]]
        title = textwrap.fill(f"{record.detector}: proposals", int(14 * side))
        axes[0, 2 * k].set_title(title, color=colour, size=8.5)
        axes[0, 2 * k + 1].set_title("its detections", color=colour, size=8.5)
        for pair, shown in zip(axes[:, 2 * k : 2 * k + 2], record.scenes, strict=False):
            _scene(pair, Glyphs(**record.spec["data"]), shown, colour)
    figure.alt = _counts(records)
    return figure


def _scene(pair, data, shown, colour):
    image, _ = glyphs.scene(data, "val", shown["image_id"])
    names = glyphs.names(data)
    for panel in pair:
        panel.imshow(image, interpolation="nearest")
    for *corners, p_object in shown["proposals"]:
        if p_object > SHOWN_ABOVE:
            box(pair[0], corners, colour, p_object)
    for *corners, score, label, _, _ in shown["detections"]:
        if score > SHOWN_ABOVE:
            box(pair[1], corners, colour, 1)
            tag(pair[1], corners[:2], f"{names[int(label)]} {score:.2f}", colour, size=7)


def _counts(records):
    """How many boxes the scenes of each record show, in words."""
    parts = []
    for record in records:
        proposals, detections = (
            sum(row[4] > SHOWN_ABOVE for scene in record.scenes for row in scene[kind])
            for kind in ("proposals", "detections")
        )
        parts.append(f"{record.detector}: {proposals} proposals, {detections} detections")
    said = "; ".join(parts) or "no record"
    return f"The same synthetic scenes with boxes of a score above {SHOWN_ABOVE}: {said}."
