"""Prediction: a trained model, loaded once, on whatever pictures it is given."""

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from numbers import Integral
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from pydantic import ValidationError
from torch import nn

from p2s.data.loader import picture_inputs
from p2s.data.picture import MOST
from p2s.deploy import tiles
from p2s.deploy.detections import Detections
from p2s.deploy.pictures import Picture, Seen, each, is_one, readable
from p2s.files import first_problem
from p2s.measure.coco import answers
from p2s.measure.heat import seen_in
from p2s.model.device import device_of, place
from p2s.spec import Spec, Test
from p2s.train import folder, shelf


def load(model: str | Path, device: str = "auto", precision: str = "fp32") -> "Predictor":
    """A trained model, by its folder or its name (see p2s.train.shelf), ready to predict.

    ValueError if there is none; see p2s.model.device for the other two.
    """
    where = device_of(device)
    network, spec, classes = folder.load(shelf.folder_of(model))
    return Predictor(place(network, where, precision), spec, tuple(classes))


def warned(line: str) -> None:
    """Tell of a picture that is skipped by a warning."""
    warnings.warn(line, stacklevel=2)


@dataclass(frozen=True, eq=False, repr=False)
class Predictor:
    """A model with what it was trained for; `dataclasses.replace` gives it an optimised one."""

    model: nn.Module
    spec: Spec
    classes: tuple[str, ...]

    def __repr__(self):
        stages = f"{self.spec.first} + {self.spec.second}"
        return f"<Predictor: {stages}, {len(self.classes)} classes>"

    def predict(
        self,
        x: Any,
        *,
        batch: int = 1,
        score_above: float | None = None,
        tile: int | None = None,
        test: Mapping[str, Any] | None = None,
        skipped: Callable[[str], None] = warned,
    ) -> Detections | Iterator[Detections]:
        """Detections of one picture, or an iterator over those of several.

        One is a file's path, a PIL picture, an array (H, W, 3) of RGB or (H, W), bytes, or a tensor
        (3, H, W), bytes or 0 to 1. Several are a folder, a pattern such as "photos/**/*.jpg", and a
        list, a generator or anything else to iterate over of all these: they are read when they
        are asked for, `batch` at once where their padded sizes are equal, so that nothing
        that is found depends on the others. A bad picture is an error where it is alone;
        of several it is left out, and `skipped` is called with a line. `test` changes
        settings (spec.Test) for this call, `score_above` the lowest score. With `tile` a picture
        is also cut into parts of so many pixels a side, for small objects: see p2s.deploy.tiles.

        ValueError in a line, at once, for anything else, unknown settings, or no pictures.
        """
        settings = self._test(score_above, test)
        for name, value, least in (("batch", batch, 1), ("tile", tile, tiles.LEAST)):
            if value is not None and not (isinstance(value, Integral) and value >= least):
                raise ValueError(f"{name} {value!r}; valid: {least} or more, a whole number")
        found = self._in_tiles(tile) if tile else self._found
        most = math.inf if tile else MOST
        if not is_one(x):
            return found(readable(each(x), skipped, most), settings, batch)
        [alone] = found([Picture.of(x).seen(most)], settings, batch)
        return alone

    def heat(self, x: Any, *, test: Mapping[str, Any] | None = None) -> NDArray:
        """P(O) of each pixel of one picture as `Picture.pixels` has it, (H, W), at any level.

        ValueError as of `predict`, and for a first stage that moves its anchors (GA, Cascade RPN).
        """
        seen, settings = Picture.of(x).seen(), self._test(None, test)
        inputs = picture_inputs(seen.pixels, settings, seen.size)
        return seen_in(self.model.eval(), inputs, seen.pixels.shape[:2]).numpy()

    def _test(self, score_above: float | None, test: Mapping[str, Any] | None) -> Test:
        if not isinstance(test, Mapping | None):
            raise ValueError(f"test {test!r}; valid: a dict of settings, as {{'nms': 0.6}}")
        lowest = {} if score_above is None else {"score_threshold": score_above}
        try:
            return self.spec.changed({"test": {**(test or {}), **lowest}}).test
        except ValidationError as error:
            raise ValueError(first_problem(error)) from None

    def _in_tiles(self, edge: int) -> Callable[..., Iterator[Detections]]:
        def found(pictures: Iterable[Seen], test: Test, batch: int) -> Iterator[Detections]:
            for seen in pictures:
                places = tiles.places(*seen.size, edge)
                parts = [seen, *(place.of(seen) for place in places)]
                whole, *others = self._found(parts, test, batch)
                yield tiles.joined(whole, list(zip(places, others, strict=True)), test)

        return found

    def _found(self, pictures: Iterable[Seen], test: Test, batch: int) -> Iterator[Detections]:
        inputs = ((seen.picture, picture_inputs(seen.pixels, test, seen.size)) for seen in pictures)
        for _, alike in groupby(inputs, self._padded_size):
            while some := list(islice(alike, batch)):
                yield from self._detected(some, test)

    def _padded_size(self, pair: tuple[Picture, dict]) -> tuple[int, ...]:
        unit = max(1, self.model.backbone.size_divisibility)
        return tuple(-(-side // unit) for side in pair[1]["image"].shape[1:])

    def _detected(self, some: Sequence[tuple[Picture, dict]], test: Test) -> list[Detections]:
        found = answers(self.model, [inputs for _, inputs in some], test)
        return [
            Detections.of(picture, *answer, self.classes)
            for (picture, _), answer in zip(some, found, strict=True)
        ]
