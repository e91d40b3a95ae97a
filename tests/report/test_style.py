import numpy as np
import pytest
from matplotlib.lines import Line2D

from p2s.report import style


@pytest.mark.parametrize("count", range(1, 14))
def test_panels_have_their_size_and_the_fewest_lines_with_the_fewest_holes(count):
    figure, drawn = style.panels(count, (2.0, 1.5), (0.5, 0.25))
    inches = [panel.get_position().size * figure.get_size_inches() for panel in drawn]
    assert np.allclose(inches, (2.0, 1.5)) and len(drawn) == count
    rows, columns = drawn[0].get_subplotspec().get_gridspec().get_geometry()
    assert rows == -(-count // 4) and columns <= 4 and 0 <= rows * columns - count < rows


def test_only_outer_panels_of_shared_axes_are_named():
    _, drawn = style.panels(5, (1, 1), (0.2, 0.2), "xy", wrap=3)
    style.name_axes(drawn, "across", "up", "xy")
    assert [panel.get_xlabel() for panel in drawn] == ["", "", "across", "across", "across"]
    assert [panel.get_ylabel() for panel in drawn] == ["up", "", "", "up", ""]
    drawn[0].set(xlim=(0, 7), ylim=(-1, 2))
    assert all(panel.get_xlim() == (0, 7) and panel.get_ylim() == (-1, 2) for panel in drawn)
    style.name_axes(drawn, "across", "up")
    assert {panel.get_xlabel() for panel in drawn} == {"across"}


def test_a_saved_picture_grows_with_a_label_and_leaves_a_margin():
    widths = []
    for label in ("short", "much longer than that " * 4):
        figure, [panel] = style.panels(1, (1, 1), (0, 0))
        panel.set_yticks([0], [label])
        style.legend(figure, [Line2D([], [], label="a")])
        content = figure.content().decode()
        widths.append(float(content.split('width="')[1].split("pt")[0]))
    assert widths[1] > 2 * widths[0] > 2 * 72


def test_every_first_stage_has_a_colour_of_its_own():
    assert len(set(style.PALETTE.values())) == len(style.PALETTE)
