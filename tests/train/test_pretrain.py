"""Pretraining: labels spelt, one training shared through the cache, and its identity."""

import pytest
import torch
from safetensors.torch import load_file

from p2s.data.glyphs import ink
from p2s.data.glyphs.styles import STYLES
from p2s.data.loader import train_batch
from p2s.files import file_sha256
from p2s.model.backbones import make_backbone
from p2s.model.zoo import build
from p2s.spec import Glyphs, Recipe, Spec, identity
from p2s.spec.identity import training_id
from p2s.spec.pretraining import Reading
from p2s.spec.released import LITE0
from p2s.train import pretrain
from p2s.train.descent import optimizer
from tests.support.released import lite0_as_published
from tests.support.tiny import TINY

SCENES = Glyphs(seed=3, train=6, val=1, size=64, classes=ink.LABELS)
RECIPE = Recipe(
    iterations=3,
    batch=2,
    warmup=1,
    rate=8e-3,
    optimizer="adamw",
    short_edge=(64,),
    long_edge=64,
    flip=False,
)


READING = Reading(scenes=SCENES, recipe=RECIPE)
BOTH = Reading(scenes=SCENES, recipe=RECIPE, locations=2, levels=(2, 6))


def spec_of(weights="glyphs"):
    tiny = TINY["backbone"] | {"weights": weights}
    return Spec.named("FasterRCNN-CenterNet").changed({**TINY, "backbone": tiny})


def test_a_label_is_spelt_by_its_style_and_its_character():
    labels = torch.arange(ink.LABELS)
    style, character = pretrain.spelt(labels)
    assert (style.max(), character.max()) == (len(STYLES) - 1, len(ink.CHARACTERS) - 1)
    words = zip(style.tolist(), character.tolist(), strict=True)
    for label, (mark, letter) in enumerate(words):
        assert ink.name(label).split()[0] == ink.CHARACTERS[letter]
        assert ink.name(label).split()[1:] == [each for each in STYLES[mark] if each]


def test_the_first_trains_and_the_next_gets_the_same_weights(tmp_path, monkeypatch):
    spec = spec_of()
    backbones = [make_backbone(spec.backbone, spec.levels) for _ in range(2)]
    assert not _equal(*backbones)
    pretrain.read_glyphs(backbones[0], spec, tmp_path, READING)
    monkeypatch.setattr(pretrain.engine, "train_batch", lambda *_: pytest.fail("trained again"))
    pretrain.read_glyphs(backbones[1], spec, tmp_path, READING)
    assert _equal(*backbones) and len(list((tmp_path / "pretrained").iterdir())) == 1


def _equal(one, other):
    other = other.state_dict()
    return all(torch.equal(value, other[name]) for name, value in one.state_dict().items())


def test_a_pyramid_takes_of_anothers_reading_what_both_have(tmp_path):
    spec = spec_of("characters")
    assert spec.levels == (3, 7)
    torch.manual_seed(0)
    backbone = make_backbone(spec.backbone, spec.levels)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    pretrain.read_glyphs(backbone, spec, tmp_path, BOTH)
    [folder] = (tmp_path / "pretrained").iterdir()
    learnt = load_file(folder / "model.safetensors")
    for name, value in backbone.state_dict().items():
        wanted = before[name] if "top_block" in name else learnt[f"backbone.{name}"]
        assert torch.equal(value, wanted), name
    assert any("top_block" in name for name in before)


@pytest.mark.parametrize("reading", [READING, BOTH], ids=["regions", "locations"])
def test_both_losses_reach_the_trunk_and_fall_on_one_batch(tmp_path, reading):
    spec = spec_of().changed({"data": SCENES.model_dump()})
    torch.manual_seed(0)
    model = pretrain.reader(spec, reading)
    [data, _] = pretrain.glyphs.load(SCENES, tmp_path)
    batch, steps = train_batch(data, RECIPE, 0, 0), optimizer(model, RECIPE)
    totals = []
    for _ in range(12):
        losses = model(batch)
        steps.zero_grad()
        sum(losses.values()).backward()
        steps.step()
        totals.append(sum(losses.values()).item())
    ways = ("region", "location") if reading.locations else ("region",)
    assert losses.keys() == {
        f"loss_{way}_{what}" for way in ways for what in ("character", "style")
    }
    assert totals[-1] < 0.7 * totals[0]
    assert model.backbone.bottom_up.stem.conv1.weight.grad.abs().sum() > 0


def test_boxes_are_moved_by_a_share_of_their_size():
    truths = pretrain.Instances(
        (64, 64), gt_boxes=pretrain.Boxes(torch.tensor([[0.0, 0, 40, 20]]).repeat(4000, 1))
    )
    torch.manual_seed(0)
    moved = pretrain._jittered(truths, 0.05).proposal_boxes.tensor - truths.gt_boxes.tensor
    wanted = 0.05 * torch.tensor([40.0, 20, 40, 20])
    torch.testing.assert_close(moved.std(0), wanted, rtol=0.05, atol=0)
    assert moved.mean(0).abs().max() < 0.1


def test_pretrained_trainings_have_an_identity_of_their_own_and_build_without_files(monkeypatch):
    with_glyphs, without = spec_of(), spec_of(None)
    assert training_id(with_glyphs, "data", 0) != training_id(without, "data", 0)
    before = training_id(with_glyphs, "data", 0)
    monkeypatch.setitem(identity.READINGS, "glyphs", READING)  # made otherwise
    assert training_id(with_glyphs, "data", 0) != before
    assert Spec.model_validate_json(with_glyphs.model_dump_json()) == with_glyphs
    torch.manual_seed(0)
    one = build(with_glyphs)
    torch.manual_seed(0)
    assert _equal(one, build(without))


def test_others_weights_are_those_that_are_published_and_no_others(tmp_path, monkeypatch):
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    net = timm.create_model("tf_efficientnet_lite0")
    torch.save(lite0_as_published(net), tmp_path / "l.pth")
    monkeypatch.setattr(pretrain, "trunk_file", lambda name: tmp_path / "l.pth")
    backbone = {"trunk": "lite0", "weights": "lite0", "fpn_channels": 16, **LITE0}
    spec = Spec().changed({"backbone": backbone})
    maps = make_backbone(spec.backbone, spec.levels)
    with pytest.raises(ValueError, match=r"l.pth: sha256 \w+ \(valid: 579344248a\w+, as published"):
        pretrain.pretrain(maps, spec, tmp_path)
    monkeypatch.setitem(pretrain.PUBLISHED, "lite0", file_sha256(tmp_path / "l.pth"))
    pretrain.pretrain(maps, spec, tmp_path)
    assert torch.equal(maps.bottom_up.net.conv_stem.weight, net.conv_stem.weight)
