"""Releases: the files of a spec.Coco, and whether a published data set is what it should be."""

from collections import defaultdict
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from p2s.data import coco, health, lvis
from p2s.data.checks import doubts, pictures, twins
from p2s.data.checks.problems import all_lines
from p2s.data.classes import in_classes_of
from p2s.data.coco import CocoSet
from p2s.data.health import Health
from p2s.data.joined import with_pseudo_labels
from p2s.spec import Coco

LVIS = ("lvis", "lvis_v1")  # kinds in LVIS's format; the others are in COCO's


@dataclass(frozen=True)
class Release:
    """What is published of the annotation file of one split; of none a fingerprint is."""

    source: str  # where it comes from
    classes: int
    images: int
    boxes: int | None = None  # not published
    within: int = 0  # how far the number of boxes may be from the published one


_LVIS = "https://www.lvisdataset.org/dataset"  # which also gives all the numbers
_OBJECTS365 = "https://www.objects365.org"
RELEASES = {  # training and validation
    "lvis_v1": (
        Release(_LVIS, classes=1203, images=100_170, boxes=1_270_141),
        Release(_LVIS, classes=1203, images=19_809, boxes=244_707),
    ),
    # Images: V3Det's README, and the paper's App. F. Boxes: YOLO-World, Table 1, in
    # thousands. A few boxes are flat or outside their image: reading leaves them out.
    "objects365_v1": (
        Release(_OBJECTS365, classes=365, images=608_606, boxes=9_621_000, within=1000),
        Release(_OBJECTS365, classes=365, images=30_000),
    ),
}


def read_release(data: Coco) -> tuple[CocoSet, CocoSet]:
    """Training and validation set, read as the kind of `data` says.

    Raises FileNotFoundError, and ValueError that tells in what a file is not the published one,
    that it has not the fingerprint that `data` asks for, or that the classes of both differ.
    """
    train, val = (_split(data, k, *pair) for k, pair in enumerate(_files(data)))
    train = with_pseudo_labels(train, data)
    val = in_classes_of(val, train.classes, told=f"{data.val}", trained=f"{data.train}")
    return train, replace(val, groups=train.groups) if isinstance(train, lvis.LvisSet) else val


def check(data: Coco, root: Path, empty: bool = False) -> Health:
    """Problems of all files, told as `health.check` does, else what `read_release` would raise.

    Else what is doubted of one's own, by files and of pictures that training and validation share;
    `empty`: images without objects train. Paths are relative to `root`. Of a published set nothing
    is told that reading mends, and its pictures, many and known, are not opened.
    """
    pseudo = [(data.pseudo, data.pseudo_images)] * (data.kind == "self_training")
    pairs = [[root / path for path in pair] for pair in (*_files(data), *pseudo)]
    of_training = partial(doubts.of_training, empty=empty)
    doubt = [of_training, doubts.of_validation, *[of_training] * len(pseudo)]
    told = [_told(data.kind, *pair, each) for pair, each in zip(pairs, doubt, strict=True)]
    if problems := [line for each in told for line in each.problems]:
        return Health(problems, [], [])
    if problems := _unreadable(data, pairs):
        return Health(problems, [], [])
    of_train, of_val, *_ = told
    shared = twins.told(pairs[0][0], pairs[1][0], of_train.pictures, of_val.pictures)
    return Health([], [*(line for each in told for line in each.doubts), *shared], [])


def _told(kind, file, folder, doubt):
    if kind not in (*LVIS, *RELEASES):
        return health.health(file, folder, doubt)
    check_file = lvis.check if kind in LVIS else health.check
    mends = {"mended": ("flat", "outside"), "look": pictures.leave_closed}
    return Health(check_file(file, folder, **(mends if kind in RELEASES else {})), [], [])


def _unreadable(data, pairs):
    (train, images), (val, val_images), *pseudo = pairs
    here = {"train": train, "val": val, "images": images, "val_images": val_images}
    for path, folder in pseudo:
        here |= {"pseudo": path, "pseudo_images": folder}
    try:
        read_release(data.model_copy(update=here))
    except ValueError as error:
        return str(error).splitlines()
    return []


def origin(data: Coco) -> str:
    """Where a published set comes from, as the end of a message; nothing of others."""
    return f"; it comes from {RELEASES[data.kind][0].source}" if data.kind in RELEASES else ""


def differences(data: CocoSet, release: Release) -> list[str]:
    """In what a data set is not the published one, a line each; also pictures that are missing."""
    boxes = sum(map(len, data.annotations))
    counts = [
        ("categories", len(data.classes), release.classes, 0),
        ("images", len(data), release.images, 0),
        ("annotations", boxes, release.boxes, release.within),
    ]
    lines = [
        f"{name}: {count} (valid: {published}, as published"
        + f", within {within}" * bool(within)
        + ")"
        for name, count, published, within in counts
        if published is not None and abs(count - published) > within
    ]
    missing = defaultdict(list)
    pictures.locate(data.images, data.folder, missing, missing)
    return lines + all_lines(missing)


def _files(data):
    return (data.train, data.images), (data.val, data.val_images or data.images)


def _split(data, number, file, folder):
    release = RELEASES[data.kind][number] if data.kind in RELEASES else None
    if release and not file.exists():
        raise FileNotFoundError(f"{file}: no such file{origin(data)}")
    read_split = lvis.read_lvis if data.kind in LVIS else coco.read_coco
    split = read_split(file.absolute(), folder.absolute())
    problems = differences(split, release) if release else []
    if data.fingerprints and split.fingerprint != data.fingerprints[number]:
        asked = f"(valid: {data.fingerprints[number]}, as asked for)"
        problems.append(f"fingerprint: {split.fingerprint} {asked}")
    if problems:
        raise ValueError("\n".join(f"{file}: {line}" for line in problems))
    return split
