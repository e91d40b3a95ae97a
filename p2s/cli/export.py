"""`p2s export`: a trained model as a file that another engine runs."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import click

from p2s.cli.options import WholeRange
from p2s.cli.paths import MODEL_FOLDER, NEW_FILE
from p2s.cli.telling import say
from p2s.scratch import scratch

LARGEST = 10**9  # pixels of a side, whatever the memory


class Engine(NamedTuple):
    """An engine's files, and who writes them; the writer is imported when it is asked for."""

    ending: str
    writer: Callable[[], Callable]  # of (model, path, (height, width))


def _onnx():
    from p2s.deploy.onnx_export import export

    return export


def _openvino():
    from p2s.deploy.by_openvino.export import export

    return export


ENGINES = {"onnx": Engine(".onnx", _onnx), "openvino": Engine(".xml", _openvino)}


@click.command()
@click.argument("model", type=MODEL_FOLDER)
@click.option("--to", "engine", type=click.Choice(list(ENGINES)), required=True, help="Whose file.")
@click.option(
    "--size", nargs=2, type=WholeRange(1, LARGEST), metavar="HEIGHT WIDTH",
    help="Of the images that it will take, in pixels. [default: a square of the tests' short edge]",
)  # fmt: skip
@click.option(
    "--output", type=NEW_FILE,
    help="The file. [default: model.* in MODEL; here, by its name, if it came with p2s]",
)  # fmt: skip
def export(model, engine, size, output):
    """Write MODEL as a file of another engine, for images of one size.

    The file takes an RGB image (3, HEIGHT, WIDTH) of 0 to 255, holds weights and test settings,
    and numbers classes as the model's classes.json does.
    """
    ending, writer = ENGINES[engine]
    write = writer()  # what is not installed is told before the model is read
    from p2s.spec.memory import require_image
    from p2s.train.folder import load

    network, spec, classes = load(model)
    edge = spec.test.short_edge
    size, setting = (size, "--size") if size else ((edge, edge), f"test.short_edge {edge}")
    require_image(*size, setting)
    output = output or _beside(model).with_suffix(ending)
    _whole(output, lambda path: write(network, path, size))
    told = f"image (3, {size[0]}, {size[1]}), RGB, 0 to 255"
    names = ", ".join(classes)
    say(f"{output}: {told}; classes 0 to {len(classes) - 1}: {names}")


def _beside(model: Path) -> Path:
    """Where a model's file goes: with it, but not among the files of the package."""
    from p2s.train.shelf import EXAMPLES

    return Path(model.name) if model in EXAMPLES.values() else model / "model"


def _whole(output: Path, write: Callable[[Path], None]) -> None:
    """Write all files of an export elsewhere first: a stop never leaves half of one."""
    with scratch(output.parent) as folder:  # on the same disk
        write(folder / output.name)
        for made in sorted(folder.iterdir()):
            made.replace(output.with_name(made.name))
