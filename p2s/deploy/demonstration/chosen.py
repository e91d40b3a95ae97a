"""Chosen: which detector is shown on which picture, by what has been fetched and what came along.

A photograph by a fetched detector; else synthetic characters by the detector that comes with the
package; else the same by a small one, trained here.
"""

from pathlib import Path
from typing import NamedTuple

from numpy.typing import NDArray

from p2s.data import glyphs
from p2s.data.catalogue import credit, model_folder
from p2s.data.picture import ENDINGS
from p2s.deploy.demonstration.small import trained
from p2s.deploy.predict import Predictor, load
from p2s.files import WEIGHTS
from p2s.spec import Glyphs
from p2s.train.shelf import EXAMPLES, has_example

FETCHED = "CenterNet2_R50_1x"  # of `p2s fetch`
PHOTOGRAPHS = "datasets/highway"  # the same; they are free to show
LARGER = 2  # sides of a shown scene in those of one trained on; objects are as large in pixels
OBJECTS = 3  # as many times those of one trained on


class Chosen(NamedTuple):
    """What is shown: a detector, a picture (a path, or pixels), settings, why these, and whose."""

    detector: Predictor
    picture: Path | NDArray
    test: dict[str, int]  # of `Predictor.predict`: a large scene is seen as large
    told: str
    credit: str = ""  # of a photograph that is not the caller's


def chosen(root: Path, cache: Path, picture: str = "", number: int = 0, steps: int = 400) -> Chosen:
    """The best that a project has on a picture, or on one of its own by number if none is given.

    steps: of the training of a small detector where there is no other.
    """
    fetched = model_folder(root, FETCHED)
    photographs = [Path(picture)] if picture else _photographs(root)
    if photographs and (fetched / WEIGHTS).exists():
        photograph = photographs[number % len(photographs)]
        told, whose = f"{FETCHED} on {photograph.name}", "" if picture else credit(photograph, root)
        return Chosen(load(fetched, "cpu"), photograph, {}, told, whose)
    folder, told = EXAMPLES["glyphs"], "The detector that comes with p2s"
    if not has_example("glyphs"):
        folder, told = trained(cache, steps), f"A small detector, trained here in {steps} steps"
    detector = load(folder, "cpu")
    if picture:
        return Chosen(detector, Path(picture), {}, f"{told}, on {picture}")
    data, test = larger(detector.spec.data), detector.spec.test
    pixels, _ = glyphs.scene(data, "val", number)
    edges = {name: LARGER * getattr(test, name) for name in ("short_edge", "long_edge")}
    return Chosen(detector, pixels, edges, f"{told}, on a synthetic scene")


def larger(data: Glyphs) -> Glyphs:
    """Scenes of LARGER sides whose objects are as large in pixels as those of `data`, and more."""
    return data.model_copy(
        update={
            "size": LARGER * data.size,
            "objects": OBJECTS * data.objects,
            "size_median": data.size_median / LARGER,
            "largest": data.largest / LARGER,
        }
    )


def _photographs(root):
    found = sorted((root / PHOTOGRAPHS).rglob("*"))
    return [path for path in found if path.suffix.lower() in ENDINGS]
