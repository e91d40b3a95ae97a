"""Glyphs: scenes of rotated, overlapping characters, drawn from a seed without any download.

Image i of (seed, split) is always the same bytes. Scenery, objects and fragments have streams of
their own, so the labelled objects of an image are the same whatever the share of fragments.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from filelock import FileLock
from PIL import Image
from tqdm import tqdm

from p2s.data import coco, lvis
from p2s.data.glyphs import ink, layout, longtail
from p2s.files import canonical_hash
from p2s.spec import Coco, Glyphs

SPLITS = ("train", "val")
FEW = 400  # scenes below which a second process takes longer to start than to draw


def fingerprint(glyphs: Glyphs, split: str) -> str:
    """The identity of the scenes of a split; the size of the other split has no part in it.

    It is of the settings and of the first scene's bytes, which another version of a font or of a
    library may draw otherwise.
    """
    glyphs = glyphs if split == "train" else _hidden(glyphs)
    settings = glyphs.model_dump(mode="json", exclude=set(SPLITS) - {split})
    for name in glyphs.left_out():
        del settings[name]
    drawing = ink.DIFFICULTY, layout.CROWDING
    parts = [settings, split, *map(asdict, drawing), _first_bytes(glyphs, split, *drawing)]
    return canonical_hash(parts)


def load(glyphs: Glyphs, cache: Path) -> list[coco.CocoSet]:
    """Training and validation scenes, drawn if the cache lacks them; see `fingerprint`."""
    files = prepare(glyphs, cache)
    return [_read(glyphs, split, files) for split in SPLITS]


def full_truth(data: coco.CocoSet, split: str) -> coco.CocoSet:
    """A split of `load` with the boxes of all objects; "annotated" tells of each if it is there.

    But for that it equals the scenes that are not federated. `data` is either split.
    """
    tables, _ = coco.tables(data.folder / f"{split}.json")
    parts = {True: tables["annotations"], False: tables["unannotated"]}
    items = [{**item, "annotated": here} for here, part in parts.items() for item in part]
    tables["annotations"] = sorted(items, key=lambda item: item["id"])
    return coco.of_tables(tables, data.fingerprint, data.folder)


def part(truth: coco.CocoSet, annotated: bool) -> coco.CocoSet:
    """A `full_truth` with its annotated, or its other, objects alone."""
    chosen = [
        [item for item in items if item["annotated"] == annotated] for items in truth.annotations
    ]
    return replace(truth, annotations=chosen)


def scene(glyphs: Glyphs, split: str, index: int) -> tuple[np.ndarray, list[dict]]:
    """Image (size, size, 3) uint8 RGB and its objects {"bbox": [x, y, width, height], "label"}.

    A box is tight around the object's visible ink. No object is hidden by more than half. Where
    not all is annotated, objects also tell whether they are "annotated", and where truth is by
    chance their "character".
    """
    if glyphs.characters > ink.LABELS:
        valid = f"valid: 1 to {ink.LABELS}"
        raise ValueError(f"glyphs: {glyphs.characters} classes or chances; {valid}")
    scenery, objects, scraps, chance, others = _streams(glyphs, split, index)
    planned = plan(glyphs, split) if glyphs.imbalance else None
    labels = planned and planned.labels[index]
    picture = ink.paper(scenery, glyphs.size)
    brightness = float(np.asarray(picture.convert("L")).mean())
    ground = ink.Ground(glyphs.size, brightness, glyphs.contrast)
    kinds, crowding = glyphs.characters, _crowding(glyphs)
    stamps, annotations = layout.arrange(objects, ground, kinds, labels, crowding)
    mean = ink.DIFFICULTY.fragments * glyphs.fragments
    parts = layout.fragments(scraps, stamps, kinds, mean, ground)
    whole = layout.strangers(others, stamps, _no_classes(glyphs), glyphs.strangers, ground)
    for mask, corner, fill in whole + parts + stamps:
        ink.stamp(picture, mask, corner, fill, brightness)
    if glyphs.chances:
        annotations = [_by_chance(chance, item, dealt(glyphs)) for item in annotations]
    if glyphs.federated:
        known = planned.federation.annotated(index, [item["label"] for item in annotations])
        annotations = [{**a, "annotated": k} for a, k in zip(annotations, known, strict=True)]
    return ink.grain(scenery, picture, glyphs.noise), annotations


def dealt(glyphs: Glyphs) -> tuple[tuple[float, float], ...]:
    """The chances of each character: dealt one character further with each seed.

    So over seeds no chance is tied to a character that is easier to learn than others.
    """
    first = -glyphs.seed % max(1, len(glyphs.chances))
    return glyphs.chances[first:] + glyphs.chances[:first]


def plan(glyphs: Glyphs, split: str) -> longtail.Plan:
    """What stands in each scene of a split with an imbalance, and what is annotated there."""
    return _plan(glyphs, split, _crowding(glyphs))


def names(glyphs: Glyphs) -> tuple[str, ...]:
    """The names of the classes: a character, and its style from the 70th class on."""
    return tuple("AB") if glyphs.chances else tuple(map(ink.name, range(glyphs.classes)))


def prepare(glyphs: Glyphs, cache: Path) -> Coco:
    """The scenes as COCO JSON and pictures under `cache`, drawn once; two callers never collide.

    Pictures are BMP: to pack a noisy PNG takes as long as to draw it, and to read it ten times
    as long. An interrupted drawing leaves only a `.part` folder, which the next call replaces.
    """
    name = canonical_hash([fingerprint(_hidden(glyphs), split) for split in SPLITS])
    folder = Path(cache, f"glyphs-{name}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            part = folder.with_name(f"{folder.name}.part")
            shutil.rmtree(part, ignore_errors=True)
            _write(glyphs, part)
            part.rename(folder)
    kind = "lvis" if glyphs.federated else "coco"
    return Coco(kind=kind, train=folder / "train.json", val=folder / "val.json", images=folder)


def _read(glyphs, split, files):
    file, identity = getattr(files, split), {"fingerprint": fingerprint(glyphs, split)}
    if not glyphs.federated:
        return replace(coco.read_coco(file, files.images), **identity)
    groups = longtail.groups(glyphs.classes)
    known = replace(lvis.read_lvis(file, files.images), groups=groups, **identity)
    if split == "val" or glyphs.unannotated == "hidden":
        return known
    truth = full_truth(known, split)
    return truth if glyphs.unannotated == "labelled" else _with_boxes(known, truth)


def _with_boxes(known, truth):
    others = part(truth, annotated=False)
    return replace(known, unannotated={i: others.boxes(i)[0] for i in range(len(others))})


def _hidden(glyphs):
    """The same scenes and annotation, whatever training is told besides."""
    return glyphs.model_copy(update={"unannotated": "hidden"})


def _streams(glyphs, split, index):
    """A scene's random numbers: for scenery, objects, fragments, truth by chance and strangers."""
    entropy = (glyphs.seed, SPLITS.index(split), index)
    return map(np.random.default_rng, np.random.SeedSequence(entropy).spawn(5))


@lru_cache(maxsize=4)
def _plan(glyphs, split, crowding):
    streams = [list(_streams(glyphs, split, index)) for index in range(getattr(glyphs, split))]
    return longtail.plan(
        glyphs, split, [layout.count(objects, crowding) for _, objects, *_ in streams]
    )


def _no_classes(glyphs):
    """The labels of strangers: plain characters, while there are others than the classes."""
    plain = len(ink.CHARACTERS)
    return range(glyphs.characters, plain if glyphs.characters < plain else ink.LABELS)


def _crowding(glyphs):
    return replace(
        layout.CROWDING,
        mean=glyphs.objects,
        median=glyphs.size_median,
        spread=glyphs.size_spread,
        largest=glyphs.largest,
    )


def _by_chance(rng, item, chances):
    """An object with a label of 0 for A or 1 for B, and whether it is annotated."""
    annotated, first = rng.random(2) < chances[item["label"]]
    drawn = {"character": item["label"], "label": int(not first), "annotated": bool(annotated)}
    return {**item, **drawn}


@lru_cache
def _first_bytes(glyphs, split, *_drawing):
    """A digest of scene 0, kept for as long as nothing that it depends on is changed."""
    image, annotations = scene(glyphs, split, 0)
    return canonical_hash([hashlib.sha256(image.tobytes()).hexdigest(), annotations])


def _write(glyphs, folder):
    for split in SPLITS:
        (folder / split).mkdir(parents=True)
    workers = 1 if glyphs.train + glyphs.val < FEW else min(os.cpu_count() or 1, 8)
    _draw_in_shares(glyphs, folder, workers)
    drawn = [None] * (glyphs.train + glyphs.val)
    for worker in range(workers):
        share = folder / f"share-{worker}.json"
        drawn[worker::workers] = json.loads(share.read_text())
        share.unlink()
    for split, items in zip(SPLITS, (drawn[: glyphs.train], drawn[glyphs.train :]), strict=True):
        (folder / f"{split}.json").write_text(json.dumps(_coco_json(glyphs, split, items)))


def _draw_in_shares(glyphs, folder, workers):
    """Draws with `workers` processes, of which this is one.

    Plain commands: a forked process may hang in a kernel with threads, and multiprocessing's
    spawned ones run the caller's script once more.
    """
    command = [sys.executable, "-m", __name__, glyphs.model_dump_json(), str(folder)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    helpers = [
        subprocess.Popen([*command, str(workers), str(worker)], env=environment)
        for worker in range(1, workers)
    ]
    try:
        _draw_share(glyphs, folder, workers, 0)
        if any(helper.wait() for helper in helpers):
            raise RuntimeError(f"drawing into {folder} failed: see the error above")
    finally:
        for helper in helpers:
            helper.kill()


def _draw_share(glyphs, folder, workers, worker):
    """Every scene number worker, worker + workers, ...; stops if the caller of a helper died."""
    scenes = [(split, i) for split in SPLITS for i in range(getattr(glyphs, split))]
    caller, drawn = os.getppid(), []
    quiet = True if worker else None  # None: a bar in a terminal only
    for split, index in tqdm(scenes[worker::workers], "glyphs", disable=quiet):
        image, annotations = scene(glyphs, split, index)
        Image.fromarray(image).save(folder / _file_name(split, index))
        drawn.append(annotations)
        if worker and os.getppid() != caller:
            return
    (folder / f"share-{worker}.json").write_text(json.dumps(drawn))


def _file_name(split, index):
    return f"{split}/{index:06d}.bmp"


def _coco_json(glyphs, split, of_images):
    """COCO's tables; an image's id is its index, `info` tells apart data alike but for pixels."""
    rows = [(image, item) for image, items in enumerate(of_images) for item in items]
    annotations = [_annotation(k, *row) for k, row in enumerate(rows, 1)]
    known = [item.get("annotated", True) for _, item in rows]
    return {
        "info": {"description": "p2s glyphs", "fingerprint": fingerprint(glyphs, split)},
        "images": [_image(glyphs, split, index) for index in range(len(of_images))],
        "annotations": [item for item, here in zip(annotations, known, strict=True) if here],
        "unannotated": [item for item, here in zip(annotations, known, strict=True) if not here],
        "categories": _categories(glyphs),
    }


def _image(glyphs, split, index):
    name = _file_name(split, index)
    row = {"id": index, "file_name": name, "width": glyphs.size, "height": glyphs.size}
    if not glyphs.federated:
        return row
    told = plan(glyphs, split).federation
    lists = {"neg": told.negatives, "not_exhaustive": told.not_exhaustive}
    ids = {f"{k}_category_ids": sorted(c + 1 for c in sets[index]) for k, sets in lists.items()}
    return row | ids


def _categories(glyphs):
    """Categories of COCO, with their LVIS group where they have one."""
    rows = [{"id": k, "name": name} for k, name in enumerate(names(glyphs), 1)]
    if glyphs.imbalance == "lvis":
        for group, classes in longtail.groups(glyphs.classes).items():
            for k in classes:
                rows[k]["frequency"] = group
    return rows


def _annotation(key, image, item):
    _, _, width, height = item["bbox"]
    ids = {"id": key, "image_id": image, "category_id": item["label"] + 1}
    return {**ids, "bbox": item["bbox"], "area": width * height, "iscrowd": 0}


if __name__ == "__main__":
    _, settings, target, *counts = sys.argv
    _draw_share(Glyphs.model_validate_json(settings), Path(target), *map(int, counts))
