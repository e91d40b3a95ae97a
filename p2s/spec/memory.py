"""Memory: the least that a detector takes; more than this machine has is refused unasked for.

An estimate from below, of what nobody can do without: weights, and pixels as a trunk takes them.
"""

from contextlib import suppress
from functools import cache
from pathlib import Path

import psutil

from p2s.spec.data import Glyphs
from p2s.spec.detector import Spec
from p2s.spec.recipe import Square

FLOAT = 4  # bytes
LITE0 = 3_300_000  # weights of an EfficientNet-Lite0
TRUNK = {18: 2000, 34: 3500, 50: 5700, 101: 10_000}  # weights by depth, in squares of the width
CELLS = 49  # of a pooled region
PIXEL = 3 + 3 * FLOAT + 16  # bytes: stored, normalised, and a narrow stem's answer
DECODED = 8  # bytes of a pixel: Pillow's, and bytes of an array
LEARNING = 3  # a weight, its gradient and its momentum
SCENE = 1000  # bytes of what is kept of a drawn scene, besides its picture
THING = 100  # bytes of what is kept of an object or a fragment of a scene
STEM = 64  # channels, where a trunk has the widths that its fields say
CONTAINER = (  # files of a container's limit: version 2 and 1 of control groups
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)
LAST = 8  # times as wide as the stem or Res2 is Res5, at least


def require_weights(spec: Spec, copies: int = 1) -> None:
    """ValueError with the field that is too large, unless so many copies of the weights fit."""
    _require({field: copies * FLOAT * count for field, count in _weights(spec).items()})


def require_training(spec: Spec, processes: int) -> None:
    """As `require_weights`, of a training's weights, images and scenes in so many processes."""
    require_weights(spec, 1 if spec.backbone.frozen_stages == 5 else LEARNING)
    recipe, test = spec.recipe, spec.test
    _, edge = recipe.image_edges
    field = "crop.size" if isinstance(recipe.crop, Square) else "short_edge"
    _require({f"recipe.{field} {edge}": edge**2 * PIXEL})
    part = -(-recipe.batch // processes)
    _require({f"recipe.batch {recipe.batch} of {edge} pixels squared": part * edge**2 * PIXEL})
    edge = min(test.short_edge, test.long_edge)
    _require({f"test.short_edge {edge}": edge**2 * PIXEL})
    if isinstance(spec.data, Glyphs):
        require_scenes(spec.data)


def require_made(spec: Spec) -> None:
    """As `require_weights`, of its weights and its scenes: what is made of a Spec untrained."""
    require_weights(spec)
    if isinstance(spec.data, Glyphs):
        require_scenes(spec.data)


def require_scenes(data: Glyphs) -> None:
    """As `require_weights`, of drawn scenes."""
    sizes = {"size": 3 * data.size**2, "classes": FLOAT * data.classes}
    sizes |= {split: SCENE * getattr(data, split) for split in ("train", "val")}
    sizes |= {name: THING * getattr(data, name) for name in ("objects", "fragments")}
    _require({f"data.{name} {getattr(data, name)}": size for name, size in sizes.items()})


def require_picture(height: int, width: int) -> None:
    """As `require_weights`, of a picture file that is decoded whole."""
    _require({f"{width} x {height} pixels": height * width * DECODED})


def require_padded(count: int, height: int, width: int) -> None:
    """As `require_weights`, of so many images that are padded to one size."""
    field = f"{count} images padded to {width} x {height} pixels"
    _require({field: count * height * width * PIXEL})


def require_image(height: int, width: int, setting: str) -> None:
    """As `require_weights`, of an image that a setting, named with its value, makes so large."""
    if height * width * PIXEL > _here():
        _require({f"{setting}, {width} x {height} pixels": height * width * PIXEL})


def _weights(spec):
    """Numbers of weights by the field and value that ask for most of them."""
    backbone, second = spec.backbone, spec.second_stage
    channels, stages = backbone.fpn_channels, 0 if spec.second == "none" else len(second.iou)
    of_one_size = backbone.trunk.kind == "lite0"
    of_depth = TRUNK[backbone.depth] * backbone.width**2
    heads = stages * (CELLS * channels * second.channels + second.channels**2)
    classes = stages * second.channels if stages else 9 * channels
    return {
        f"backbone.width {backbone.width}": LITE0 if of_one_size else of_depth,
        **_bottlenecks(backbone),
        **_layers(backbone.neck, channels),
        f"backbone.fpn_channels {channels}": 9 * channels**2 * (3 + spec.first_stage.layers),
        f"second_stage.channels {second.channels}": heads,
        f"num_classes {spec.num_classes}": classes * spec.num_classes,
    }


def _bottlenecks(backbone):
    """Into the last block of a trunk that says how wide its bottlenecks are."""
    trunk = backbone.trunk
    if trunk.kind not in ("resnext", "res2net"):
        return {}
    names = {"resnext": ("groups", "group_width"), "res2net": ("scales", "scale_width")}
    (parts, count), (part, width) = ((name, getattr(trunk, name)) for name in names[trunk.kind])
    wide = LAST * count * width * backbone.width // STEM
    return {f"backbone.trunk.{parts} {count} of {part} {width}": wide * LAST * backbone.width}


def _layers(neck, channels):
    """Of a neck of several layers: a separable convolution of each, at least."""
    if neck.kind != "bifpn":
        return {}
    return {f"backbone.neck.layers {neck.layers}": neck.layers * channels**2}


def _require(needed):
    if (total := sum(needed.values())) > _here():
        most = max(needed, key=needed.__getitem__)
        raise ValueError(
            f"{most}: needs {_gigabytes(total)} GB of memory or more, this machine has "
            f"{_gigabytes(_here())} (valid: less)"
        )


@cache
def _here():
    """Bytes of this machine, or of the container that has fewer of them."""
    return min([psutil.virtual_memory().total, *_limits()])


def _limits():
    for path in CONTAINER:
        with suppress(OSError, ValueError):  # there is none, or it is "max"
            yield int(Path(path).read_text())


def _gigabytes(size):
    return f"{size / 2**30:.3g}"
