"""Figure 3: the proposals of an RPN beside those of CenterNet, on the same scenes."""

from collections.abc import Sequence
from itertools import product

from p2s.data import glyphs
from p2s.report.results import committed_scale, results
from p2s.report.style import COLOURS, SHOWN_ABOVE, Photographs, blank, box, styled
from p2s.spec import Glyphs
from p2s.study.records import Record
from p2s.study.study import Study

PROPOSERS = ("CascadeRCNN-RPN (P3-P7)", "CascadeRCNN-CenterNet")  # rows of Table 5
READINGS = {"P(O)": 1.0, "√P(O)": 0.5}  # of a score that must exceed .3: the paper's, the code's


@styled
def proposals(records: Sequence[Record]) -> Photographs:
    """Figure 3: proposals above .3 of each record's scenes, read as P(O) and as its square root.

    A title counts what its panel shows: "at least", where a record keeps no more than that, and
    "all", where the detector has no more. A proposal is the fainter the lower its score.
    """
    count = max((len(record.scenes) for record in records), default=0)
    shape = max(count, 1), len(READINGS) * max(len(records), 1)
    columns = product(READINGS, zip(records, COLOURS, strict=False))
    size = 2.25 * shape[1], 2.4 * shape[0] + 0.4
    figure = Photographs(figsize=size, layout="constrained")
    axes = blank(figure.subplots(*shape, squeeze=False))
    for panels, (name, (record, colour)) in zip(axes.T, columns, strict=False):
        for panel, scene in zip(panels, record.scenes, strict=False):
            _scene(panel, record, scene, name, colour)
        heading = f"{record.detector}\n{name} > {SHOWN_ABOVE}\n"
        panels[0].set_title(heading + panels[0].get_title(), color=colour, size=8.5)
    figure.alt = _counts(records)
    return figure


def shown(scene: dict, power: float) -> list[tuple[list[float], float]]:
    """Pairs of box and score of a record's scene whose score, a power of P(O), is above .3."""
    scored = [(corners, p_object**power) for *corners, p_object in scene["proposals"]]
    return [(corners, score) for corners, score in scored if score > SHOWN_ABOVE]


def first_proposals(study: Study) -> list[Record]:
    """Of each first stage the record of Table 5 that Figure 3 shows: the first seed's."""
    main = results(study.at(committed_scale(study, "table5")), "table5").main
    first = [pair for pair in main.pairs if pair[0].seed == main.runs[0].seed]
    shown = [record for run, record in first if record and run.row in PROPOSERS]
    return [record for record in shown if record.spec["data"]["kind"] == "glyphs"]


def _counts(records):
    """How many proposals the scenes of each record show by each reading, in words."""
    counts = [
        f"{record.detector}, {name}: {sum(len(shown(scene, power)) for scene in record.scenes)}"
        for name, power in READINGS.items()
        for record in records
    ]
    said = "; ".join(counts) or "no record"
    return f"Proposals above {SHOWN_ABOVE} on the same scenes: {said}."


def _scene(panel, record, scene, name, colour):
    """The proposals of a record's scene that a reading shows, and their number."""
    image, _ = glyphs.scene(Glyphs(**record.spec["data"]), "val", scene["image_id"])
    panel.imshow(image, interpolation="nearest")
    boxes = shown(scene, READINGS[name])
    for corners, score in boxes:
        box(panel, corners, colour, score, lw=1.1)
    words = f"{_count(len(boxes), scene, record)} proposals"
    panel.set_title(words, color=colour, size=8.5)


def _count(count, scene, record):
    """How many are shown, in words: a record may keep fewer than a detector proposes."""
    if not count or count < len(scene["proposals"]):
        return str(count)
    more = count < record.spec["test"]["proposals"]
    return f"at least {count}" if more else f"all {count}"
