"""Gallery: pictures with what detectors propose and detect in them, from records.

The page makes the score, P(C|O)^a P(O)^b, of the two factors that a record holds, by
page/gallery.js and without Python.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

from PIL import Image

from p2s.data.picture import credited, embedded
from p2s.maths.likelihood import FUSIONS
from p2s.report.figures.validation import Source, source
from p2s.report.results import RANK, Results, committed_scale, results
from p2s.study.records import Record
from p2s.study.runs import Run
from p2s.study.study import Study

SHOWN = ("table5", "highway")  # experiments that ask what the product does, where they have records
EDGE, QUALITY = 512, 80  # most pixels of a side, and JPEG's
NO_SCRIPT = "Nothing moves here: it does in the rendered report, by a script in the page."


@dataclass(frozen=True)
class Gallery:
    """Scenes as page/gallery.js reads them, credits, records by their names, and what is missing.

    A scene has `of`, `name`, `width`, `height`, `picture`, `classes`, `objects` (x1, y1, x2, y2,
    class), and `detectors`, each with `name`, `proposals` (x1, y1, x2, y2, P(O)) and `detections`
    (x1, y1, x2, y2, class, P(O), P(C|O)).
    """

    scenes: tuple[dict[str, Any], ...]
    credits: dict[str, int]  # photographs by their credit
    records: dict[str, str]  # names by their place in the project
    missing: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        told = {"fusions": FUSIONS, "scenes": self.scenes}
        held = escape(json.dumps(told, ensure_ascii=False, separators=(",", ":")))
        links = (f'<a href="../{at}">{escape(name)}</a>' for at, name in self.records.items())
        lines = [
            *(credited(credit, count) for credit, count in self.credits.items()),
            *(f"<p>{escape(line)}</p>" for line in self.missing),
            f"<p>Records: {', '.join(links) or 'none yet'}.</p>",
        ]
        return f'<div class="gallery" data-gallery="{held}">{NO_SCRIPT}</div>{"".join(lines)}'


def gallery(study: Study) -> Gallery:
    """The Gallery of the experiments of SHOWN that have records, each at its committed scale."""
    scenes: list[dict] = []
    credits: dict[str, int] = {}
    records: dict[str, str] = {}
    missing = []
    for name in SHOWN:
        here = results(study.at(committed_scale(study, name)), name)
        chosen = widest(here)
        seen = chosen and source(chosen[0], here, study.project)
        if not seen:
            missing += [f"No picture of {name} can be shown here: {_why(chosen)}."]
            continue
        made = [*_scenes(seen, chosen)]
        scenes += made
        credits |= {seen.credit: len(made)} if seen.credit else {}
        folder = f"results/runs/{here.scale}"
        records |= {f"{folder}/{one.id}.json": f"{name}, {_called(one)}" for one in chosen}
    return Gallery(tuple(scenes), credits, records, tuple(missing))


def widest(results: Results) -> list[Record]:
    """A record a first stage: of two-stage detectors, the first seed, its last row's training.

    Of that training's evaluations at its own NMS the one that cuts the fewest scores, then that by
    the product. A one-stage detector says one probability, which is no product.
    """
    main = {run.spec.first: run for run in results.main.runs if _counts(run, results)}
    return [results.records[_widest(run, results).evaluation_id] for run in main.values()]


def _counts(run, results):
    first = min(run.seed for run in results.runs)
    return run.evaluation_id in results.records and run.seed == first and run.spec.second != "none"


def _widest(of: Run, results) -> Run:
    same = [
        run
        for run in results.runs
        if run.training_id == of.training_id
        and run.evaluation_id in results.records
        and run.spec.test.nms == of.spec.test.nms
    ]
    return min(
        same,
        key=lambda run: (run.spec.test.score_threshold, -RANK.get(run.spec.test.fusion, 0)),
    )


def _why(chosen):
    return "its photographs are not here, or not free to show" if chosen else "it has no record"


def _scenes(seen: Source, chosen: list[Record]) -> Iterator[dict[str, Any]]:
    count = len(chosen[0].scenes)
    for k in range(count):
        shown = seen.picture(chosen[0].scenes[k]["image_id"])
        height, width = shown.pixels.shape[:2]
        yield {
            "of": seen.name,
            "name": f"{seen.short} {k + 1} of {count}",
            "width": width,
            "height": height,
            "picture": _jpeg(shown.pixels),
            "classes": shown.classes,
            "objects": [[round(float(value), 1) for value in row] for row in shown.objects],
            "detectors": [_said(record, record.scenes[k]) for record in chosen],
        }


def _said(record, scene):
    """What a record holds of a scene; its own score is left out, which the page makes itself."""
    detections = [row[:4] + row[5:] for row in scene["detections"]]
    named = {"name": record.detector, "proposals": scene["proposals"]}
    return named | {"detections": detections}


def _called(record):
    return f"{record.detector} (NMS by {record.spec['test']['fusion']})"


def _jpeg(pixels):
    picture = Image.fromarray(pixels)
    picture.thumbnail((EDGE, EDGE))
    return embedded(picture, QUALITY)
