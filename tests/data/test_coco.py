import hashlib
import json

import numpy as np
import pytest
from PIL import Image

from p2s.data.coco import read_coco, read_picture


def write(folder, boxes, categories=((9, "dog"), (4, "cat")), size=(20, 10)):
    """Two images; the second one has the boxes [(category, iscrowd, [x, y, w, h])]."""
    images = [
        {"id": k, "file_name": f"{k}.png", "width": size[0], "height": size[1]} for k in (7, 3)
    ]
    keys = ("category_id", "iscrowd", "bbox")
    annotations = [
        {"id": k, "image_id": 3, "segmentation": [[0]]} | dict(zip(keys, box, strict=True))
        for k, box in enumerate(boxes, 1)
    ]
    names = [{"id": k, "name": name} for k, name in categories]
    data = {"images": images, "annotations": annotations, "categories": names}
    (folder / "a.json").write_text(json.dumps(data))
    for k in (7, 3):
        Image.new("RGB", size, (k, 0, 255)).save(folder / f"{k}.png")
    return read_coco(folder / "a.json", folder)


def test_classes_are_numbered_in_the_order_of_category_ids(tmp_path):
    data = write(tmp_path, [(9, 0, [1, 1, 2, 2]), (4, 0, [2, 2, 3, 3])])
    assert data.classes == ("cat", "dog") and data.category_ids == (4, 9)
    assert data.sample(1)["classes"].tolist() == [1, 0]


def test_a_name_used_twice_is_told_apart_by_its_id(tmp_path):
    categories = ((1, "same"), (2, "cat"), (3, "same"))
    assert write(tmp_path, [], categories).classes == ("same (1)", "cat", "same (3)")


@pytest.mark.parametrize("third", ["a (7)", "a (8)", "a (9)", "a"])
def test_names_are_told_apart_also_from_one_that_looks_told_apart(tmp_path, third):
    classes = write(tmp_path, [], ((7, "a"), (8, "a"), (9, third))).classes
    assert len({*classes}) == 3 and all(name.startswith("a (") for name in classes)


def test_a_sample_is_rgb_with_corner_boxes(tmp_path):
    sample = write(tmp_path, [(4, 0, [1, 2, 3, 4])]).sample(1)
    assert sample["image"].shape == (10, 20, 3) and sample["image"].dtype == np.uint8
    assert sample["image"][0, 0].tolist() == [3, 0, 255]
    assert sample["boxes"].tolist() == [[1, 2, 4, 6]] and sample["boxes"].dtype == np.float32
    assert (sample["image_id"], sample["height"], sample["width"]) == (3, 10, 20)


def test_crowds_are_kept_apart_from_objects(tmp_path):
    data = write(tmp_path, [(4, 1, [0, 0, 9, 9]), (4, 0, [1, 1, 2, 2])])
    sample = data.sample(1)
    assert sample["boxes"].tolist() == [[1, 1, 3, 3]] and sample["crowd"].tolist() == [[0, 0, 9, 9]]


def test_boxes_are_cut_to_the_image_and_flat_ones_left_out(tmp_path):
    data = write(tmp_path, [(4, 0, [-0.5, 0, 21, 10.5]), (4, 0, [1, 1, 5, 0])])
    assert data.sample(1)["boxes"].tolist() == [[0, 0, 20, 10]]


def test_only_images_with_objects_train(tmp_path):
    assert write(tmp_path, [(4, 0, [1, 1, 2, 2])]).trainable == (1,)
    assert write(tmp_path, [(4, 1, [1, 1, 2, 2])]).trainable == ()


def test_an_image_without_boxes_has_empty_arrays(tmp_path):
    sample = write(tmp_path, []).sample(0)
    assert sample["boxes"].shape == sample["crowd"].shape == (0, 4) and sample["classes"].shape == (
        0,
    )


def test_grey_and_transparent_pictures_become_rgb(tmp_path):
    data = write(tmp_path, [])
    for mode in ("L", "RGBA", "P"):
        Image.new(mode, (20, 10)).save(tmp_path / "7.png")
        assert data.sample(0)["image"].shape == (10, 20, 3)


def test_a_picture_of_another_size_is_an_error_that_names_it(tmp_path):
    data = write(tmp_path, [])
    Image.new("RGB", (10, 20)).save(tmp_path / "7.png")
    with pytest.raises(ValueError, match="image 7: 7.png is 10 x 20, .*a.json says 20"):
        data.sample(0)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("share", [0, 0.2, 0.6])
def test_a_picture_cut_short_is_an_error_that_names_it(tmp_path, suffix, share):
    path = tmp_path / f"cut.{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (99, 99, 3), np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ValueError, match=f"cut.{suffix}: not a readable image: "):
        read_picture(path)


def test_a_picture_is_turned_as_its_camera_says(tmp_path):
    data, turned = write(tmp_path, []), Image.Exif()
    turned[0x0112] = 6  # orientation: a quarter turn
    Image.new("RGB", (10, 20)).save(tmp_path / "7.png", exif=turned)
    assert data.sample(0)["image"].shape == (10, 20, 3)


def test_a_picture_is_read_whose_name_is_not_as_on_the_disk(tmp_path):
    data = write(tmp_path, [])
    (tmp_path / "Day 1").mkdir()
    (tmp_path / "7.png").rename(tmp_path / "Day 1" / "7.PNG")
    data.images[0]["file_name"] = "day%201\\7.png"
    assert data.sample(0)["image"][0, 0].tolist() == [7, 0, 255]


def test_the_fingerprint_is_that_of_the_annotation_bytes(tmp_path):
    data = write(tmp_path, [])
    assert data.fingerprint == hashlib.sha256((tmp_path / "a.json").read_bytes()).hexdigest()
