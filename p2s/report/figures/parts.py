"""A picture of a difference by its parts: where it has the paper's sign, and where it has not."""

import pandas as pd

from p2s.report.style import COLOURS, FAINT, INK, Picture, name_axes, panels, styled
from p2s.report.tables.differences.parts import AGAINST, CLAIMED
from p2s.report.tables.estimates import cells

SIDES = {CLAIMED: COLOURS[2], AGAINST: COLOURS[1]}
ENDS = 3  # classes at either end
HIGH = 0.19  # inches of a part


@styled
def forest(lines: pd.DataFrame) -> Picture:
    """Every part of differences, a panel a test: mean and interval over seeds, coloured by side.

    lines: `differences.parts.COLUMNS` and "test"; of classes those at either end.
    """
    tests = {test: _shown(some) for test, some in lines.groupby("test", sort=False)}
    longest = max(map(len, tests.values()), default=1)
    figure, drawn = panels(len(tests), (3.6, HIGH * (longest + 1)), (2.4, 0.6), "", 2)
    name_axes(drawn, "difference, 95 % interval over seeds", "")
    said = []
    for panel, (test, some) in zip(drawn, tests.items(), strict=True):
        for height, line in enumerate(some.itertuples()):
            colour = SIDES.get(line.side, FAINT)
            panel.plot([line.low, line.high], [height, height], color=colour, lw=1.5)
            panel.plot(line.mean, height, "o", color=colour, ms=4)
        panel.set_yticks(range(len(some)), some["group"] + ": " + some["part"], size=8)
        panel.set_ylim(len(some) - 0.5, -0.5)
        panel.axvline(0, color=INK, lw=0.8)
        panel.grid(axis="x")
        panel.set_title(test, size=9)
        told = zip(some["group"], some["part"], cells(some, "+"), strict=True)
        said.append(f"{test}: {'; '.join(' '.join(part) for part in told)}")
    figure.alt = f"Differences by part, mean ± 95 % interval (seeds). {'. '.join(said)}."
    return figure


def _shown(some):
    """The parts of a test, of classes those at either end."""
    classes = some[some["group"] == "class"].sort_values("mean", ascending=False)
    ends = pd.concat([classes[:ENDS], classes[ENDS:][-ENDS:]])
    return pd.concat([some[some["group"] != "class"], ends])
