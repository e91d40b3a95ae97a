"""Pictures of an executed notebook in fewer bytes; nothing else of it changes."""

import base64
import io
from copy import deepcopy
from typing import Any, NamedTuple

from nbformat import NotebookNode
from PIL import Image

from p2s.report.figures.vectors import minified

SVG, PNG, JPEG = "image/svg+xml", "image/png", "image/jpeg"
COLOURS = 64  # of what was drawn with lines


class Step(NamedTuple):
    """How small pictures are to be."""

    vector: int  # most characters of an SVG; a larger one gives way to the PNG beside it
    edge: int  # most pixels of a width
    quality: int  # JPEG's


STEPS = (  # the first that a report is small enough by
    Step(vector=80_000, edge=1200, quality=60),
    Step(vector=80_000, edge=1000, quality=50),
    Step(vector=60_000, edge=1000, quality=50),
    Step(vector=40_000, edge=800, quality=40),
    Step(vector=20_000, edge=600, quality=30),
)


def shrunk(notebook: NotebookNode, step: Step) -> NotebookNode:
    """A copy whose pictures are as small as a step says, and that has no messages of a run.

    They tell of a moment and a machine.
    """
    notebook = deepcopy(notebook)
    for cell in notebook.cells:
        outputs = [one for one in cell.get("outputs", ()) if one.get("name") != "stderr"]
        if "outputs" in cell:
            cell.outputs = outputs
        for output in outputs:
            if {SVG, PNG} & {*output.get("data", ())}:
                output.data, about = _picture(output.data, output.metadata, step)
                output.metadata = NotebookNode(about)
    return notebook


def _picture(data, metadata, step) -> tuple[NotebookNode, dict[str, Any]]:
    """The one form of a picture that is kept, and what is known of it."""
    vector, about = data.get(SVG), metadata.get(SVG) or metadata.get(PNG) or {}
    if vector and (PNG not in data or len(minified(vector)) <= step.vector):
        kind, content = SVG, vector
    else:
        kind, content = _pixels(data[PNG], step, drawn=bool(vector))
    return NotebookNode({kind: content}), {kind: about}


def _pixels(content: str, step, drawn):
    """A PNG in few colours if it was drawn with lines, else a JPEG; as it is where that is less."""
    picture, buffer = Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB"), io.BytesIO()
    picture.thumbnail((step.edge, picture.height))
    if drawn:
        picture.quantize(COLOURS, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    else:
        picture.save(buffer, "JPEG", quality=step.quality, optimize=True)
    made = base64.b64encode(buffer.getvalue()).decode()
    return (PNG if drawn else JPEG, made) if len(made) < len(content) else (PNG, content)
