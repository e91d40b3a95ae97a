"""Pictures of executed notebooks become small, and all else stays."""

import base64
import io
from itertools import pairwise

import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from p2s.report.publishing.pictures import COLOURS, STEPS, Step, shrunk
from p2s.report.style import Photographs, Picture

STEP = Step(vector=10_000, edge=100, quality=50)


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def opened(content):
    return Image.open(io.BytesIO(base64.b64decode(content)))


def small(*outputs, step=STEP):
    """The outputs of a notebook of one cell that had these."""
    [cell] = shrunk(new_notebook(cells=[new_code_cell("1", outputs=list(outputs))]), step).cells
    return cell.outputs


def shown(data, **metadata):
    return new_output("display_data", data, metadata=metadata)


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(0).integers(0, 255, (150, 200, 3), np.uint8)


def test_a_photograph_becomes_a_narrow_jpeg_with_its_text(noise):
    about = {"image/png": {"alt": "of noise"}}
    [output] = small(shown({"image/png": png(noise), "text/plain": "<Figure>"}, **about))
    assert [*output.data] == ["image/jpeg"] and output.metadata["image/jpeg"]["alt"] == "of noise"
    assert opened(output.data["image/jpeg"]).size == (100, 75)


def test_a_picture_that_is_smaller_as_it_is_stays():
    content = png(np.zeros((20, 20, 3), np.uint8))
    [output] = small(shown({"image/png": content}))
    assert output.data == {"image/png": content}


def picture():
    """A Picture's output as Jupyter keeps it: SVG, and PNG beside it."""
    made = Picture(figsize=(3, 3))
    made.subplots().plot(np.random.default_rng(0).random((40, 30)))
    made.alt = "lines"
    data, metadata = DisplayFormatter().format(made, include=[made.mime])
    alone = Photographs(figsize=(3, 3))
    alone.subplots().plot(np.random.default_rng(0).random((40, 30)))
    pixels = base64.b64encode(alone.content()).decode()
    return shown(data | {"image/png": pixels}, **metadata)


def test_what_is_drawn_stays_a_vector_or_has_few_colours():
    [vector] = small(picture(), step=STEP._replace(vector=10**6))
    [pixels] = small(picture())
    assert [*vector.data] == ["image/svg+xml"] and [*pixels.data] == ["image/png"]
    for output in (vector, pixels):
        assert [about["alt"] for about in output.metadata.values()] == ["lines"]
    assert len(opened(pixels.data["image/png"]).getcolors()) <= COLOURS


def test_a_vector_without_pixels_beside_it_stays():
    svg = picture().data["image/svg+xml"]
    [output] = small(shown({"image/svg+xml": svg}))
    assert output.data == {"image/svg+xml": svg} and len(svg) > STEP.vector


def test_messages_go_and_words_tables_and_the_original_stay(noise):
    said = new_output("stream", name="stdout", text="a")
    table = shown({"text/html": "<table></table>"})
    outputs = [said, new_output("stream", name="stderr", text="3.1 s"), table]
    notebook = new_notebook(cells=[new_markdown_cell("b"), new_code_cell("1", outputs=outputs)])
    before = str(notebook)
    assert shrunk(notebook, STEP).cells[1].outputs == [said, table]
    assert shrunk(notebook, STEP).cells[0] == notebook.cells[0] and str(notebook) == before


def test_every_step_asks_for_less():
    for one, other in pairwise(STEPS):
        assert other < one and all(b <= a for a, b in zip(one, other, strict=True))
