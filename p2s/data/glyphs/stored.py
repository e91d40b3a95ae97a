"""Stored scenes: all scenes of a setting as COCO files and pictures, drawn once, then read."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from filelock import FileLock
from PIL import Image
from tqdm import tqdm

from p2s.data import coco, lvis
from p2s.data.glyphs import longtail
from p2s.data.glyphs.scenes import SPLITS, fingerprint, hidden, names, plan, scene
from p2s.files import canonical_hash
from p2s.spec import Coco, Glyphs

FEW = 400  # scenes below which a second process takes longer to start than to draw


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


def prepare(glyphs: Glyphs, cache: Path) -> Coco:
    """The scenes as COCO JSON and pictures under `cache`, drawn once; two callers never collide.

    Pictures are BMP: to pack a noisy PNG takes as long as to draw it, and to read it ten times
    as long. An interrupted drawing leaves only a `.part` folder, which the next call replaces, as
    it does scenes of which a file is gone.
    """
    name = canonical_hash([fingerprint(hidden(glyphs), split) for split in SPLITS])
    folder = Path(cache, f"glyphs-{name}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not all(_is_there(folder, split, getattr(glyphs, split)) for split in SPLITS):
            part = folder.with_name(f"{folder.name}.part")
            shutil.rmtree(part, ignore_errors=True)
            _write(glyphs, part)
            shutil.rmtree(folder, ignore_errors=True)
            part.rename(folder)
    kind = "lvis" if glyphs.federated else "coco"
    return Coco(kind=kind, train=folder / "train.json", val=folder / "val.json", images=folder)


def _is_there(folder, split, count):
    """Whether a folder has the table of a split and as many pictures as there are scenes."""
    table, pictures = folder / f"{split}.json", folder / split
    return table.exists() and pictures.exists() and len(os.listdir(pictures)) == count


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
    call = f"from {__name__} import help_to_draw; help_to_draw()"
    command = [sys.executable, "-c", call, glyphs.model_dump_json(), str(folder)]
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


def help_to_draw() -> None:
    """Draw a share of a caller's scenes: what a helper process of `prepare` runs."""
    _, settings, target, *counts = sys.argv
    _draw_share(Glyphs.model_validate_json(settings), Path(target), *map(int, counts))


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
