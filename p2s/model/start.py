"""Start: the weights of a trained detector as the beginning of another one, its classes by name.

K classes, S anchors a cell.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from torch import Tensor, nn

from p2s.files import WEIGHTS, read_json
from p2s.model import weights

# The tensors that tell classes, (S K, ...) with the classes of an anchor side by side; (K + 1, ...)
# of a softmax or as many sigmoids, the last of no class.
OF_ONE_STAGE = re.compile(r"proposal_generator\.head\.score\.")
OF_SECOND_STAGE = re.compile(r"roi_heads\.(box_predictor\.(\d+\.)?cls_score\.|image_counts$)")
AND_NONE = "cls_score"
NONE = (None,)  # the name of no class


def start(model: nn.Module, folder: Path, classes: Sequence[str] = ()) -> None:
    """Give a model of these classes the weights of the one in a folder.

    A class that both have keeps its rows in the layers that tell classes; one that is new has those
    that the model was made with. Without `classes` they are taken for the same. ValueError names
    the file for tensors of another net, and for numbers that are not finite.
    """
    path, own = folder / WEIGHTS, model.state_dict()
    given = weights.read_weights(path)
    if classes:
        known = read_json(folder / "classes.json", list[str])
        given = given | carried(own, given, classes, known)
    weights.require_fit(path, own, given, "its Spec")
    weights.require_finite(path, given)
    model.load_state_dict(given)


def carried(
    own: dict[str, Tensor], given: dict[str, Tensor], classes: Sequence[str], known: Sequence[str]
) -> dict[str, Tensor]:
    """The tensors of `own` that tell `classes`, with the rows that `given` has of each by its name.

    A tensor of another net or type, or of other classes than `known`, is left out.
    """
    made = {}
    for name in own.keys() & given.keys() & set(class_tensors(own)):
        none = NONE if AND_NONE in name else ()
        ours, theirs = [*classes, *none], [*known, *none]
        both = [each for each in ours if each in theirs]
        anchors, *shape = len(own[name]) // len(ours), *own[name].shape[1:]
        has_theirs = given[name].shape == (anchors * len(theirs), *shape)
        if has_theirs and weights.same_kind(given[name], own[name]):
            new = own[name].clone().unflatten(0, (anchors, len(ours)))
            old = given[name].unflatten(0, (anchors, len(theirs))).to(new.dtype)
            new[:, [*map(ours.index, both)]] = old[:, [*map(theirs.index, both)]]
            made[name] = new.flatten(0, 1)
    return made


def class_tensors(names: Iterable[str]) -> list[str]:
    """The names of those that have rows for each class."""
    two_stages = any(name.startswith("roi_heads.") for name in names)
    tells = OF_SECOND_STAGE if two_stages else OF_ONE_STAGE
    return [name for name in names if tells.match(name)]
