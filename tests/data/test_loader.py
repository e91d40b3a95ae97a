import json

import numpy as np
import pytest
import torch
from PIL import Image

from p2s.data import coco, loader
from p2s.spec import Recipe, Test

RECIPE = Recipe(batch=3, short_edge=(24, 32), long_edge=60)


@pytest.fixture
def data(tmp_path):
    """Seven images; number 5 has no box and number 6 only a crowd."""
    rng = np.random.default_rng(0)
    annotations, images = [], []
    for k in range(7):
        images.append({"id": 10 + k, "file_name": f"{k}.png", "width": 40, "height": 30})
        Image.fromarray(rng.integers(0, 255, (30, 40, 3), np.uint8)).save(tmp_path / f"{k}.png")
        for box in ([[1, 2, 3 + k, 4], [0, 0, 40, 30]][: 1 + k % 2]) * (k != 5):
            row = {"id": len(annotations) + 1, "image_id": 10 + k, "category_id": 1}
            annotations.append(row | {"bbox": box, "iscrowd": int(k == 6)})
    tables = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "a"}]}
    (tmp_path / "a.json").write_text(json.dumps(tables))
    return coco.read_coco(tmp_path / "a.json", tmp_path)


def plain(batch):
    return [
        (one["image_id"], one["image"].tolist(), one["instances"].gt_boxes.tensor.tolist())
        for one in batch
    ]


def test_a_batch_is_a_pure_function_of_seed_and_iteration(data):
    torch.manual_seed(0)
    first = plain(loader.train_batch(data, RECIPE, 1, 4))
    torch.rand(3), np.random.rand(3), loader.train_batch(data, RECIPE, 1, 5)
    assert plain(loader.train_batch(data, RECIPE, 1, 4)) == first
    assert plain(loader.train_batch(data, RECIPE, 2, 4)) != first


@pytest.mark.parametrize("batch", [1, 2, 3, 5, 12])
def test_every_epoch_shows_each_image_with_objects_once(data, batch):
    shown = [i for it in range(10) for i in loader.batch_indices(data, batch, 0, it)]
    epochs = [shown[k : k + 5] for k in range(0, len(shown) - 4, 5)]
    assert all(sorted(epoch) == [0, 1, 2, 3, 4] for epoch in epochs)
    assert len(epochs) < 2 or any(epoch != epochs[0] for epoch in epochs)


def test_crowds_and_images_without_objects_never_train(data):
    for iteration in range(6):
        for one in loader.train_batch(data, RECIPE, 0, iteration):
            assert one["image_id"] < 15 and len(one["instances"]) >= 1


def test_no_object_at_all_is_an_error(data):
    empty = coco.CocoSet(data.folder, data.images, [[]] * 7, data.classes, data.category_ids, "")
    with pytest.raises(ValueError, match="no image has an object"):
        loader.train_batch(empty, RECIPE, 0, 0)


def test_mirroring_twice_is_the_identity(data):
    once = loader.augment(data.sample(1), 30, 60, True)
    boxes = once["instances"].gt_boxes.tensor.numpy()
    back = {**data.sample(1), "image": once["image"].permute(1, 2, 0).numpy(), "boxes": boxes}
    twice, never = loader.augment(back, 30, 60, True), loader.augment(data.sample(1), 30, 60, False)
    assert torch.equal(twice["image"], never["image"])
    assert torch.equal(twice["instances"].gt_boxes.tensor, never["instances"].gt_boxes.tensor)
    assert not torch.equal(once["image"], never["image"])


def test_an_image_of_the_right_size_passes_untouched(data):
    sample = data.sample(2)
    one = loader.augment(sample, 30, 60, False)
    assert one["image"].dtype == torch.uint8
    assert (one["image"].permute(1, 2, 0).numpy() == sample["image"]).all()


def test_boxes_scale_with_the_image_and_stay_within(data):
    one = loader.augment(data.sample(3), 45, 600, False)
    assert one["image"].shape == (3, 45, 60) == (3, *one["instances"].image_size)
    assert one["instances"].gt_boxes.tensor.tolist() == [[1.5, 3, 10.5, 9], [0, 0, 60, 45]]
    for flip in (False, True):
        for edge in (7, 31, 97):
            one = loader.augment(data.sample(3), edge, 600, flip)
            height, width = one["instances"].image_size
            boxes = one["instances"].gt_boxes.tensor
            assert (boxes >= 0).all() and (boxes <= torch.tensor([width, height] * 2)).all()


@pytest.mark.parametrize("height, width", [(2, 3000), (3000, 2), (1, 1)])
@pytest.mark.parametrize("flip", [False, True])
def test_no_side_is_resized_to_nothing(height, width, flip):
    image, nothing = np.zeros((height, width, 3), np.uint8), np.zeros((0, 4), np.float32)
    size = {"height": height, "width": width, "image_id": 1}
    sample = {"image": image, "boxes": nothing, "classes": np.zeros(0, np.int64), **size}
    one = loader.augment(sample, 64, 107, flip)
    assert one["image"].shape == (3, *one["instances"].image_size)
    assert min(one["image"].shape) >= 1 and max(one["image"].shape) <= 107


def test_the_long_edge_limits_the_size_and_the_stored_size_is_kept(data):
    one = loader.test_inputs(data, 6, Test(short_edge=60, long_edge=60))
    assert one["image"].shape == (3, 45, 60) and (one["height"], one["width"]) == (30, 40)
    assert "instances" not in one and one["image_id"] == 16


def test_half_of_the_images_are_mirrored_and_none_if_not_asked(data):
    straight = RECIPE.model_copy(update={"flip": False, "short_edge": (30,)})
    original = {data.images[i]["id"]: data.sample(i)["image"] for i in range(7)}
    share = []
    for recipe in (straight, straight.model_copy(update={"flip": True})):
        batches = [loader.train_batch(data, recipe, 0, it) for it in range(40)]
        pairs = [
            (one["image"].permute(1, 2, 0).numpy(), original[one["image_id"]])
            for b in batches
            for one in b
        ]
        share.append(np.mean([(image != stored).any() for image, stored in pairs]))
    assert share[0] == 0 and 0.35 < share[1] < 0.65


def test_every_short_edge_is_used(data):
    heights = {
        one["image"].shape[1] for it in range(8) for one in loader.train_batch(data, RECIPE, 0, it)
    }
    assert heights == {24, 32}
