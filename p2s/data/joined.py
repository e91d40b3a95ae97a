"""Joined: annotated pictures and pseudo-labelled ones, which train as one set (App. C)."""

from dataclasses import dataclass

from p2s.data.classes import in_classes_of
from p2s.data.coco import CocoSet, read_coco
from p2s.files import joined_fingerprint
from p2s.spec import Coco


@dataclass(frozen=True, eq=False)
class JoinedSet(CocoSet):
    """The images of several sets one after another, in the classes of the first."""

    parts: tuple[CocoSet, ...]

    def sample(self, index: int) -> dict:
        """As the part's that has the image."""
        for part in self.parts:
            if index < len(part):
                return part.sample(index)
            index -= len(part)
        raise IndexError(f"no image {index} more than all")


def with_pseudo_labels(train: CocoSet, data: Coco) -> CocoSet:
    """A training set with the pseudo-labels of its data, if they name any.

    ValueError names the categories of that file that the training set has not.
    """
    if not (data.pseudo and data.pseudo_images):
        return train
    more = read_coco(data.pseudo, data.pseudo_images)
    told = {"told": f"{data.pseudo}", "trained": f"{data.train}"}
    return joined(train, in_classes_of(more, train.classes, **told))


def joined(first: CocoSet, second: CocoSet) -> JoinedSet:
    """Both sets as one; the second has the first's classes in their order."""
    ids = dict(zip(second.category_ids, first.category_ids, strict=True))
    labelled = [
        [item | {"category_id": ids[item["category_id"]]} for item in of_image]
        for of_image in second.annotations
    ]
    fields = {name: getattr(first, name) for name in CocoSet.__dataclass_fields__}
    both = {
        "images": first.images + second.images,
        "annotations": first.annotations + labelled,
        "fingerprint": joined_fingerprint([first.fingerprint, second.fingerprint]),
    }
    return JoinedSet(**fields | both, parts=(first, second))


def share_of_last(data: JoinedSet) -> dict[str, float]:
    """Which share of images, and of boxes, is of the last part."""
    last = data.parts[-1]
    boxes = [sum(map(len, each.annotations)) for each in (last, data)]
    return {"images": len(last) / len(data), "boxes": boxes[0] / max(1, boxes[1])}
