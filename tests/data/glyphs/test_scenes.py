import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from p2s.data import glyphs
from p2s.data.glyphs import ink, layout, scenes
from p2s.spec import Glyphs, Spec

SMALL = Glyphs(seed=3, train=5, val=2, size=64, classes=4)


def changed(**fields):
    return SMALL.model_copy(update=fields)


def test_an_image_is_always_the_same_bytes():
    for split, index in (("train", 0), ("val", 0), ("train", 7)):
        image, objects = glyphs.scene(SMALL, split, index)
        again, same = glyphs.scene(SMALL, split, index)
        assert image.tobytes() == again.tobytes() and objects == same
        assert image.shape == (64, 64, 3) and image.dtype == np.uint8


# SHA-256 of pixels and objects, with NumPy, Pillow and matplotlib as in requirements.lock.
# A change that moves one gives all data other identities: old records are of other pictures.
GOLDEN = {
    (1.0, "train", 0): "0d8f93e0cf4cdabd94f0ac2cbd1c40ddc98dc2893a97f2ae2120e9781cac33a3",
    (1.0, "val", 3): "bd6ddbb4de5c3c03ba3e250193cdb673e6948652bf226ae1b4c3c9ae7d70aa90",
    (2.0, "train", 0): "30680af8d7b2eed6c0c5cde68228912b2865cb1a739633a3cef37d975e932122",
    (2.0, "val", 3): "14a1d23be50af171cc8b27bee51253564224da08a054946665bf8802103185e9",
}


@pytest.mark.parametrize("place", GOLDEN)
def test_a_version_draws_the_same_bytes_for_ever(place):
    fragments, split, index = place
    image, objects = glyphs.scene(Glyphs(fragments=fragments), split, index)
    drawn = image.tobytes() + json.dumps(objects).encode()
    assert hashlib.sha256(drawn).hexdigest() == GOLDEN[place]


def test_seed_split_and_index_each_change_the_image():
    places = [
        (SMALL, "train", 0),
        (SMALL, "val", 0),
        (SMALL, "train", 1),
        (changed(seed=4), "train", 0),
    ]
    assert len({glyphs.scene(*place)[0].tobytes() for place in places}) == 4


def test_fragments_change_pixels_and_never_the_labelled_objects():
    for index in range(4):
        scenes = [glyphs.scene(changed(fragments=f), "train", index) for f in (0, 1, 2)]
        assert scenes[0][1] == scenes[1][1] == scenes[2][1]
    assert scenes[0][0].tobytes() != scenes[2][0].tobytes()


def test_a_higher_setting_draws_the_same_fragments_and_more():
    stamps, _ = layout.arrange(np.random.default_rng(0), ink.Ground(160, 128), 10)
    ground = ink.Ground(160, 128)
    few, many = (
        layout.scattered(np.random.default_rng(1), stamps, range(10), m, ground, ink.fragment)
        for m in (0.5, 1)
    )
    assert len(few) < len(many)
    assert all(a[1:] == b[1:] and a[0].tobytes() == b[0].tobytes() for a, b in zip(few, many))  # noqa: B905


def test_boxes_are_tight_around_visible_ink_and_half_of_it_shows():
    for seed in range(8):
        stamps, objects = layout.arrange(np.random.default_rng(seed), ink.Ground(160, 128), 10)
        owner = np.full((160, 160), -1)
        for k, (mask, (x, y), _) in enumerate(stamps):
            owner[y : y + mask.height, x : x + mask.width][ink.is_ink(mask)] = k
        for k, (stamp, item) in enumerate(zip(stamps, objects, strict=True)):
            y, x = np.nonzero(owner == k)
            assert item["bbox"] == [x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1]
            assert len(x) >= 0.5 * ink.is_ink(stamp[0]).sum()


def test_objects_that_find_no_fair_place_are_left_out(monkeypatch):
    before = [
        len(layout.arrange(np.random.default_rng(k), ink.Ground(64, 128), 4)[1]) for k in range(20)
    ]
    monkeypatch.setattr(ink, "DIFFICULTY", ink.Difficulty(visible=1.0))
    after = [
        len(layout.arrange(np.random.default_rng(k), ink.Ground(64, 128), 4)[1]) for k in range(20)
    ]
    assert sum(after) < sum(before) and min(after) >= 1


def test_a_fragment_keeps_too_little_ink_to_be_an_object():
    rng = np.random.default_rng(0)
    for size in (8, 20, 100):
        for label in range(10):
            mask = ink.glyph(rng, label, size, 160)
            share = ink.is_ink(ink.fragment(rng, mask)).sum() / ink.is_ink(mask).sum()
            assert 0 < share < ink.DIFFICULTY.visible


def test_ink_stands_out_from_paper_of_any_brightness():
    rng = np.random.default_rng(0)
    for paper in np.linspace(0, 255, 40):
        assert all(0 <= part <= 255 for part in ink.colour(rng, ink.Ground(160, paper)))
    far = [abs(np.mean(ink.colour(rng, ink.Ground(160, 128))) - 128) for _ in range(300)]
    assert np.quantile(far, 0.05) > 0.8 * ink.DIFFICULTY.contrast


def test_every_character_exists_in_every_face_it_is_drawn_in():
    assert len(set(ink.CHARACTERS)) == len(ink.CHARACTERS) >= 60
    for face in ink.SANS + ink.SERIF:
        missing = ink._upright("\U000f1234", face).tobytes()
        for character in ink.CHARACTERS:
            if face in ink.SANS or character < "\u2600":
                assert ink._upright(character, face).tobytes() != missing, (character, face)


def test_the_ten_default_characters_are_told_apart_when_turned_and_mirrored():
    def shape(character, degrees):
        mask = ink._rotated(character, "DejaVuSans", degrees).resize((24, 24))
        return np.asarray(mask, float) / 255

    def iou(a, b):
        return np.minimum(a, b).sum() / np.maximum(a, b).sum()

    turned = {c: [shape(c, d) for d in (-25, 0, 25)] for c in ink.CHARACTERS[:10]}
    pairs = [(a, b) for a in turned for b in turned if a < b]
    likeness = [
        iou(x, y[:, ::m]) for a, b in pairs for x in turned[a] for y in turned[b] for m in (1, -1)
    ]
    assert max(likeness) < 0.75


def test_too_many_classes_are_refused_with_the_range():
    with pytest.raises(ValueError, match="glyphs: 2000 classes or chances; valid: 1 to "):
        glyphs.scene(changed(classes=2000), "train", 0)


def test_two_processes_may_ask_for_the_same_scenes_at_once(tmp_path):
    code = (
        "import sys; from p2s.data.glyphs import prepare; from p2s.spec import Glyphs;"
        "print(prepare(Glyphs(train=40, val=5, size=64), sys.argv[1]).train)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    first, second = (run.communicate(timeout=60)[0].strip() for run in runs)
    assert first == second and len(json.loads(Path(first).read_text())["images"]) == 40
    assert [run.returncode for run in runs] == [0, 0]


def test_the_fingerprint_follows_settings_difficulty_and_pixels(monkeypatch):
    settings = (SMALL, changed(seed=4), changed(fragments=0.0))
    seen = {glyphs.fingerprint(each, split) for each in settings for split in glyphs.SPLITS}
    monkeypatch.setattr(ink, "DIFFICULTY", ink.Difficulty(noise=3))
    seen.add(glyphs.fingerprint(SMALL, "train"))
    monkeypatch.setattr(ink, "CHARACTERS", ink.CHARACTERS[::-1])
    scenes._first_bytes.cache_clear()  # nobody changes the code of a process at work
    assert len(seen | {glyphs.fingerprint(SMALL, "train")}) == 8


def test_a_split_keeps_its_fingerprint_whatever_the_size_of_the_other():
    more = changed(val=SMALL.val + 1)
    assert glyphs.fingerprint(more, "train") == glyphs.fingerprint(SMALL, "train")
    assert glyphs.fingerprint(more, "val") != glyphs.fingerprint(SMALL, "val")


def test_tiny_and_single_class_scenes_can_be_drawn():
    for size in (16, 32):
        image, objects = glyphs.scene(changed(size=size, classes=1), "val", 0)
        assert image.shape == (size, size, 3) and len(objects) >= 1


BY_CHANCE = Glyphs(seed=5, size=64, classes=2, chances=((0.25, 0.8), (0.9, 0.1), (1, 1), (1, 0)))


def test_no_pixel_tells_what_is_annotated():
    sure = BY_CHANCE.model_copy(update={"chances": (), "classes": 4})
    for index in range(3):
        image, objects = glyphs.scene(BY_CHANCE, "train", index)
        same, drawn = glyphs.scene(sure, "train", index)
        assert image.tobytes() == same.tobytes()
        places = [(item["bbox"], item["character"]) for item in objects]
        assert places == [(item["bbox"], item["label"]) for item in drawn]


def test_chances_are_those_of_counting():
    items = [item for i in range(120) for item in glyphs.scene(BY_CHANCE, "train", i)[1]]
    for character, (q, r) in enumerate(glyphs.dealt(BY_CHANCE)):
        mine = [item for item in items if item["character"] == character]
        annotated = [item for item in mine if item["annotated"]]
        assert binomtest(len(annotated), len(mine), q).pvalue > 1e-3
        as_a = sum(item["label"] == 0 for item in mine)
        assert len(mine) > 100 and binomtest(as_a, len(mine), r).pvalue > 1e-3


def test_each_seed_deals_every_chance_to_another_character():
    deals = [glyphs.dealt(BY_CHANCE.model_copy(update={"seed": seed})) for seed in range(4)]
    assert deals[0] == BY_CHANCE.chances and glyphs.dealt(Glyphs()) == ()
    assert all(
        set(of_character) == set(BY_CHANCE.chances) for of_character in zip(*deals, strict=True)
    )


def test_chances_need_two_classes_and_characters_that_exist():
    with pytest.raises(ValueError, match="classes 3 with chances; valid: 2"):
        Glyphs(classes=3, chances=((0.5, 0.5),))
    with pytest.raises(ValueError, match="2000 classes or chances; valid: 1 to"):
        glyphs.scene(Glyphs(classes=2000), "train", 0)


def test_strangers_stand_behind_the_same_objects_and_are_none_of_the_classes():
    few, many = changed(strangers=0.0), changed(strangers=2.0)
    for index in range(4):
        (bare, objects), (image, same) = (glyphs.scene(each, "val", index) for each in (few, many))
        assert objects == same and bare.tobytes() != image.tobytes()
    assert scenes._no_classes(SMALL)[0] == SMALL.classes
    assert [*scenes._no_classes(changed(classes=70))][0] == 70


def test_loose_boxes_are_off_by_a_share_of_their_size_and_inside_the_image():
    tight, loose = changed(), changed(looseness=0.05)
    off = []
    for index in range(40):
        (image, exact), (same, drawn) = (glyphs.scene(g, "train", index) for g in (tight, loose))
        assert image.tobytes() == same.tobytes()
        for one, other in zip(exact, drawn, strict=True):
            (x, y, w, h), (left, top, width, height) = one["bbox"], other["bbox"]
            assert min(left, top) >= 0 and max(left + width, top + height) <= loose.size
            assert min(width, height) >= 1 and one["label"] == other["label"]
            inner = x > 0 and y > 0 and x + w < loose.size and y + h < loose.size
            ends = (
                (left - x) / w,
                (top - y) / h,
                (left + width - x) / w - 1,
                (top + height - y) / h - 1,
            )
            off += [ends] if inner and min(w, h) > 20 else []
    assert np.std(off, axis=0) == pytest.approx(0.05, rel=0.3)
    assert np.mean(off, axis=0) == pytest.approx(0.0, abs=0.02)
    assert glyphs.scene(loose, "train", 0)[1] == glyphs.scene(loose, "train", 0)[1]


def test_what_a_setting_leaves_at_its_default_is_not_written():
    assert "strangers" not in SMALL.model_dump() and "zoom" not in Spec().model_dump()
    assert changed(strangers=1.0).model_dump()["strangers"] == 1.0


def test_sizes_spread_as_told():
    wide = changed(size=160, size_spread=0.9, size_median=0.2, objects=5.0, largest=1.0)
    sizes = [
        (item["bbox"][2] * item["bbox"][3]) ** 0.5 / 160
        for index in range(60)
        for item in glyphs.scene(wide, "val", index)[1]
    ]
    assert 0.15 < np.median(sizes) < 0.25 and 0.6 < np.log(sizes).std() < 1.0
