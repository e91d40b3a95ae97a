"""Pictures: how all figures look, and what is drawn on images.

A Picture has no pyplot and no global state: the same bytes whenever it is drawn.
"""

import base64
import io

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

INK, FAINT, PALE = "#24292f", "#6e7781", "#f6f8fa"
COLOURS = ("#3a6ea5", "#d1622b", "#3f8f5f", "#8a5aa8", "#b08a1e")  # one a first stage, in order
STYLE = {
    "svg.hashsalt": "p2s",
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": "#d0d7de",
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.axisbelow": True,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": "#e4e8ec",
}
SHOWN_ABOVE = 0.3  # Fig. 3 of the paper shows proposals above this score


class Picture(Figure):
    """A Figure that notebooks show as it is saved: SVG, or PNG where it is made of photographs."""

    kind = "svg"

    def content(self):
        """The file's bytes, without date or version inside: equal whenever it is drawn."""
        metadata = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}
        buffer = io.BytesIO()
        with matplotlib.rc_context(STYLE):
            if self.kind == "svg":  # pixels do not show the last bits
                self._settle()
            options = {"format": self.kind, "metadata": metadata[self.kind]}
            self.savefig(buffer, dpi=100, facecolor="white", **options)
        return buffer.getvalue()

    def _settle(self):
        """Fix the layout, rounded: the last bits of its solver differ from drawing to drawing."""
        self.draw_without_rendering()
        self.set_layout_engine("none")
        for axes in self.axes:
            axes.set_position(np.round(axes.get_position(original=True).bounds, 6))

    def _repr_mimebundle_(self, **_):
        if self.kind == "svg":
            return {"image/svg+xml": self.content().decode()}
        return {"image/png": base64.b64encode(self.content()).decode()}


class Photographs(Picture):
    """A Picture saved as PNG."""

    kind = "png"


def blank(panels):
    """The same array of panels without axes."""
    for panel in panels.ravel():
        panel.axis("off")
    return panels


def box(panel, corners, colour, alpha, lw=1.4):
    """Draw the frame of a box x1, y1, x2, y2."""
    left, top, right, bottom = corners
    frame = {"fill": False, "edgecolor": colour, "alpha": alpha, "lw": lw}
    panel.add_patch(Rectangle((left, top), right - left, bottom - top, **frame))


def tag(panel, corner, words, colour, size=7.5):
    """Write words on a ground of a colour, above a corner."""
    style = {"color": "white", "size": size, "va": "bottom"}
    style["bbox"] = {"facecolor": colour, "edgecolor": "none", "pad": 0.8}
    panel.text(*corner, words, **style)
