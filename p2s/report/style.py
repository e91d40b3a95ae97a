"""Pictures: how all figures look, and what is drawn on images.

A Picture has no pyplot and no global state: the same bytes whenever it is drawn. Panels have their
place in inches; what stands around them, such as labels and legends, widens the saved picture.
"""

import base64
import io
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

INK, FAINT, PALE = "#24292f", "#6e7781", "#f6f8fa"
COLOURS = (
    *("#3a6ea5", "#d1622b", "#3f8f5f", "#8a5aa8", "#b08a1e"),
    *("#b0476b", "#2a8f9c", "#7a6a58"),
)
FIRSTS = {  # first stages in words
    "rpn": "RPN",
    "centernet": "CenterNet",
    "retinanet": "RetinaNet",
    "atss": "ATSS",
    "gfl": "GFL",
    "ga_rpn": "GA RPN",
    "cascade_rpn": "Cascade RPN",
    "fcos": "FCOS",
}
PALETTE = dict(zip(FIRSTS, COLOURS, strict=True))  # the same first stage, the same colour
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
    "legend.frameon": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": "#e4e8ec",
}
styled = matplotlib.rc_context(STYLE)  # decorates what draws
SHOWN_ABOVE = 0.3  # Fig. 3 of the paper shows proposals above this score
BORDER = 0.08  # of a panel's height: words above a corner in it would stand on the title
MARGIN = 0.1  # inches of a saved picture beyond everything drawn


class Picture(Figure):
    """A Figure that notebooks show as it is saved: SVG, or PNG where it is made of photographs."""

    kind, mime = "svg", "image/svg+xml"
    alt = ""  # what it shows, in words: made from the data that are drawn

    @styled
    def content(self) -> bytes:
        """The file's bytes, without date or version inside: equal whenever it is drawn."""
        about = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}[self.kind]
        about |= {"Title": self.alt} if self.alt else {}
        buffer = io.BytesIO()
        if self.get_layout_engine():
            self._settle()
        options = {"format": self.kind, "metadata": about, "bbox_inches": "tight"}
        self.savefig(buffer, dpi=100, facecolor="white", pad_inches=MARGIN, **options)
        return buffer.getvalue().replace(b"<svg ", b'<svg role="img" ', self.kind == "svg")

    def _settle(self):
        """Fix the layout, rounded: the last bits of its solver differ from drawing to drawing."""
        self.draw_without_rendering()
        self.set_layout_engine("none")
        for axes in self.axes:
            axes.set_position(np.round(axes.get_position(original=True).bounds, 6))

    def _repr_mimebundle_(self, **_):
        content = self.content()
        shown = content if self.kind == "svg" else base64.b64encode(content)
        return {self.mime: shown.decode()}, {self.mime: {"alt": self.alt}}


class Photographs(Picture):
    """A Picture saved as PNG."""

    kind, mime = "png", "image/png"


def panels(
    count: int, size: tuple[float, float], gap: tuple[float, float], shared: str = "", wrap: int = 4
) -> tuple[Picture, list[Axes]]:
    """A Picture of so many panels of a size, with gaps, in inches: no more than `wrap` a line.

    `shared` has the letters of the axes that all have in common: "", "x", "y" or "xy".
    """
    rows = -(-max(count, 1) // wrap)
    columns = -(-max(count, 1) // rows)
    wide, high = columns * (size[0] + gap[0]) - gap[0], rows * (size[1] + gap[1]) - gap[1]
    figure = Picture(figsize=(wide, high))
    ends = {"left": 0, "right": 1, "bottom": 0, "top": 1}
    spaces = {"wspace": gap[0] / size[0], "hspace": gap[1] / size[1]}
    grid = figure.add_gridspec(rows, columns, **ends, **spaces)
    drawn: list[Axes] = []
    for place in list(grid)[:count]:
        same = {f"share{axis}": drawn[0] for axis in shared if drawn}
        drawn.append(figure.add_subplot(place, **same))
    return figure, drawn


def name_axes(drawn: Sequence[Axes], across: str, up: str, shared: str = "") -> None:
    """Label the axes of `panels`; of shared ones the lowest and the leftmost alone."""
    for k, panel in enumerate(drawn):
        columns = panel.get_subplotspec().get_gridspec().ncols
        lowest = "x" not in shared or k + columns >= len(drawn)
        leftmost = "y" not in shared or k % columns == 0
        panel.set(xlabel=across if lowest else "", ylabel=up if leftmost else "")
        panel.tick_params(length=0, labelbottom=lowest, labelleft=leftmost)


def legend(figure: Picture, handles: Sequence, columns: int = 4, above: float = 0.3) -> None:
    """A legend so many inches above the panels."""
    place = (0, 1 + above / figure.get_figheight())
    options = {"loc": "lower left", "bbox_to_anchor": place, "borderaxespad": 0}
    figure.legend(handles=handles, ncols=columns, **options)


def blank(grid: np.ndarray) -> np.ndarray:
    """The same array of panels without axes."""
    for panel in grid.ravel():
        panel.axis("off")
    return grid


def box(panel: Axes, corners: Sequence[float], colour: str, alpha: float, lw: float = 1.4) -> None:
    """Draw the frame of a box x1, y1, x2, y2; it moves no limit of the panel."""
    left, top, right, bottom = corners
    frame = {"fill": False, "edgecolor": colour, "alpha": alpha, "lw": lw}
    panel.add_artist(Rectangle((left, top), right - left, bottom - top, **frame))


def tag(panel: Axes, corner: Sequence[float], words: str, colour: str, size: float = 7.5) -> None:
    """Write words on a ground of a colour, above a corner, or below one at the upper border."""
    bottom, top = sorted(panel.get_ylim(), reverse=bool(panel.yaxis_inverted()))
    at_border = abs(corner[1] - top) < BORDER * abs(bottom - top)
    style = {"color": "white", "size": size, "va": "top" if at_border else "bottom"}
    style["bbox"] = {"facecolor": colour, "edgecolor": "none", "pad": 0.8}
    panel.text(*corner, words, **style)
