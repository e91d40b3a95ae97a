"""Figures 1 and 3 of the paper, and all that the report keeps of Figures 1 to 3."""

import matplotlib
import numpy as np
from matplotlib.colors import LinearSegmentedColormap

from p2s.data import glyphs
from p2s.report.results import results
from p2s.report.style import COLOURS, INK, SHOWN_ABOVE, STYLE, Photographs, blank, box, tag
from p2s.spec import Glyphs
from p2s.study import views
from p2s.study.study import Study

STRUCTURES = ("CenterNet*", "CascadeRCNN-RPN", "CenterNet2")  # of Fig. 2, from left to right
PROPOSERS = ("CascadeRCNN-RPN (P3-P7)", "CascadeRCNN-CenterNet")  # rows of Table 5, for Fig. 3
READINGS = {"P(O)": 1.0, "√P(O)": 0.5}  # of a score that must exceed .3: the paper's, the code's

FIRST, SECOND = COLOURS[:2]  # what is of the first stage, of the second
HEAT = LinearSegmentedColormap.from_list("heat", ["#0d1117", FIRST, "#ffffff"])
CARDS, OUTCOMES = 5, 3  # proposals whose P(C|O) is shown, and the likeliest classes of each
APART = 0.5  # the most IoU of two of them
BACKGROUND = "bg"
SECOND_STAGE = "second stage: P(C|O) of each numbered proposal, broad; P(C), Eq. 1, narrow"


def factors(image, seen, classes):
    """Figure 1: P(O) of an image (H, W, 3), P(C|O) of proposals, and P(C) of both (Eq. 1).

    `seen` is a view.Seen. Proposals with a number are the likeliest that overlap no likelier one
    by more than half.
    """
    with matplotlib.rc_context(STYLE):
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
    return figure


def proposals(records):
    """Figure 3: proposals above .3 of each record's scenes, read as P(O) and as its square root.

    A title counts what its panel shows: "at least", where a record keeps no more than that, and
    "all", where the detector has no more. A proposal is the fainter the lower its score.
    """
    count = max((len(one.scenes) for one in records), default=0)
    shape = max(count, 1), len(READINGS) * max(len(records), 1)
    structures = [(name, *one) for name in READINGS for one in zip(records, COLOURS, strict=False)]
    with matplotlib.rc_context(STYLE):
        size = 2.25 * shape[1], 2.4 * shape[0] + 0.4
        figure = Photographs(figsize=size, layout="constrained")
        axes = blank(figure.subplots(*shape, squeeze=False))
        for panels, (name, record, colour) in zip(axes.T, structures, strict=False):
            for panel, scene in zip(panels, record.scenes, strict=False):
                _scene(panel, record, scene, name, colour)
            heading = f"{record.detector}\n{name} > {SHOWN_ABOVE}\n"
            panels[0].set_title(heading + panels[0].get_title(), color=colour, size=8.5)
    return figure


def shown(scene, power):
    """Pairs of box and score of a record's scene whose score, a power of P(O), is above .3."""
    scored = [(corners, p_object**power) for *corners, p_object in scene["proposals"]]
    return [(corners, score) for corners, score in scored if score > SHOWN_ABOVE]


def pictures(project, scale=views.SCALES[0]):
    """The Pictures of Figures 1 to 3 by name; what has no record is left out."""
    from p2s.measure import structure  # the models need detectron2
    from p2s.report.figures import structures

    built = [structure.measure(name) for name in STRUCTURES]
    found = {"figure2": structures.structures(built, structure.SIZE)}
    if seen := views.latest(project):
        found["figure1"] = of_view(seen)
    if records := first_proposals(project, scale):
        found["figure3"] = proposals(records)
    return found


def products(project):
    """The bytes of Figures 1 to 3 by place."""
    drawn = pictures(project).items()
    return {f"figures/{name}.{one.kind}": one.content() for name, one in drawn}


def of_view(one):
    """Figure 1 of a view.View, its scene drawn again from the seed."""
    data = Glyphs(**one.data)
    image, _ = glyphs.scene(data, "val", one.seen.image_id)
    return factors(image, one.seen, glyphs.names(data))


def first_proposals(project, scale):
    """Of each first stage the record of Table 5 that Figure 3 shows: the first seed's."""
    main = results(Study.load(project, scale), "table5").main
    shown = [run for run in main.runs if run.row in PROPOSERS and run.seed == main.runs[0].seed]
    found = [main.records[run.evaluation_id] for run in shown if run.evaluation_id in main.records]
    return [record for record in found if record.spec["data"]["kind"] == "glyphs"]


def joint(p_class, p_object):
    """P(C) of all classes, background last, from P(C|O) and P(O) (Eq. 1)."""
    no_object = np.zeros_like(p_class)
    no_object[-1] = 1 - p_object
    return p_class * p_object + no_object


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


def _scene(panel, record, scene, name, colour):
    """The proposals of a record's scene that a reading shows, and their number."""
    image, _ = glyphs.scene(Glyphs(**record.spec["data"]), "val", scene["image_id"])
    panel.imshow(image, interpolation="nearest")
    found = shown(scene, READINGS[name])
    for corners, score in found:
        box(panel, corners, colour, score, lw=1.1)
    words = f"{_count(found, scene, record)} proposals"
    panel.set_title(words, color=colour, size=8.5)


def _count(found, scene, record):
    """How many are shown, in words: a record may keep fewer than a detector proposes."""
    if not found or len(found) < len(scene["proposals"]):
        return str(len(found))
    more = len(found) < record.spec["test"]["proposals"]
    return f"at least {len(found)}" if more else f"all {len(found)}"


def _heat(panel, image, seen):
    height, width = np.shape(seen.heat)
    extent = (-0.5, width * seen.cell - 0.5, height * seen.cell - 0.5, -0.5)
    shown = panel.imshow(seen.heat, cmap=HEAT, vmin=0, extent=extent, interpolation="nearest")
    panel.set(xlim=(-0.5, image.shape[1] - 0.5), ylim=(image.shape[0] - 0.5, -0.5))
    bar = panel.figure.colorbar(shown, ax=panel, location="bottom", shrink=0.9, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=8)


def apart(seen):
    """Rows of the likeliest proposals that overlap no likelier one of them much, for the cards."""
    kept = []
    for row, (*corners, _) in enumerate(seen.proposals):
        if all(_iou(corners, seen.proposals[other]) <= APART for other in kept):
            kept.append(row)
    return kept[:CARDS]


def _iou(one, other):
    wide, high = (min(one[k + 2], other[k + 2]) - max(one[k], other[k]) for k in (0, 1))
    both = max(wide, 0) * max(high, 0)
    areas = sum((each[2] - each[0]) * (each[3] - each[1]) for each in (one, other))
    return both / max(areas - both, 1e-9)


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
