"""States and steps whose content is not what a training writes: file and field in one line."""

import functools
import tempfile
from pathlib import Path

import pytest
import torch

from p2s.spec import Spec
from p2s.spec.identity import training_id
from p2s.train import kept, replay
from p2s.train.engine import Loop, train
from tests.support import tiny_training
from tests.support.malformed import GONE, nested, put, require_told, rows
from tests.support.tiny import TINY, scene, tiny
from tests.support.tiny_training import DATA, SPEC, Tiny

NAN, INF = float("nan"), float("inf")
TENSOR, WEIGHT = torch.ones(1), torch.ones(4, 3, 3, 3)
WHERE = {"device": "cpu, 1 threads", "precision": "fp32", "processes": 1}

STATES = [  # place, value, the expected part of the line
    ("identity", GONE, "identity missing"),
    ("identity", 7, "identity: Input should be a valid string"),
    ("identity", "another", "holds another training"),
    ("iteration", "5", "iteration: Input should be a valid integer"),
    ("iteration", True, "iteration: Input should be a valid integer"),
    ("iteration", 5.0, "iteration: Input should be a valid integer"),
    ("iteration", None, "iteration: Input should be a valid integer"),
    ("iteration", TENSOR, "iteration: Input should be a valid integer"),
    ("iteration", -1, "iteration: Input should be greater than or equal to 0"),
    ("iteration", 10**30, "iteration: Input should be less than"),
    ("iteration", 10**400, "iteration: Input should be less than"),
    ("iteration", 3, "curve: 2 values .valid: iteration, 3"),
    ("seconds", "long", "seconds: Input should be a valid number"),
    ("seconds", -1.0, "seconds: Input should be greater"),
    ("seconds", NAN, "seconds: Input should be"),
    ("seconds", INF, "seconds: Input should be a finite number"),
    ("curve", GONE, "curve missing"),
    ("curve", [1], "curve: Input should be a valid dictionary"),
    ("curve", nested(200), "curve: Input should be a valid dictionary"),
    ("curve.fit", "abc", "curve.fit: Input should be a valid list"),
    ("curve.fit.0", "abc", "curve.fit.0.*: Input should be a valid integer"),
    ("curve.fit.0", nested(200), "curve.fit.0.*: Input should be a valid integer"),
    ("curve.fit", [10**400, 1.0], "curve.fit.0.*: Input should be"),
    ("curve.fit", [float("inf"), 1.0], "curve: fit: infinite"),
    ("curve", {"iteration": [0, 1], "$\\foo$": [1.0, 1.0]}, "curve.*: String should match"),
    ("curve.iteration", [0.0, 1.0], "curve: iteration: not 0, 1, 2"),
    ("curve.iteration", GONE, "curve: iteration: not 0, 1, 2"),
    ("curve.fit", [1.0], "curve: 1 values of 'fit' .valid: 2, an it"),
    ("curve.iteration", [1, 0], "curve: iteration: not 0, 1, 2"),
    ("curve.7", [1.0, 2.0], "curve.7.*: Input should be a valid string"),
    ("model", GONE, "model missing"),
    ("model", TENSOR, "model: Input should be a valid dictionary"),
    ("model", {}, "does not fit its Spec: .* missing"),
    ("model.conv.weight", "abc", "model.conv.weight: .* instance of Tensor"),
    ("model.conv.weight", nested(200), "model.conv.weight: .* instance of Tensor"),
    ("model.conv.weight", TENSOR, "1 of another shape .first: conv.weight is .1,., not .4, 3"),
    ("model.conv.weight", torch.full((4, 3, 3, 3), NAN), "conv.weight: not finite, as 1 of"),
    ("model.conv.weight", torch.ones(()).expand(10**6, 10**6), "of more numbers than the file"),
    ("model.conv.weight", torch.eye(3).to_sparse(), "conv.weight: .*valid: a dense tensor"),
    ("model.conv.weight", torch.ones(4, 3, 3, 3, device="meta"), "conv.weight: of device meta"),
    ("model.conv.weight", WEIGHT.long(), "1 of another type .first: conv.weight is torch.int64"),
    ("model.conv.weight", WEIGHT.bool(), "conv.weight is torch.bool, not torch.float32"),
    ("model.conv.weight", WEIGHT * 1j, "conv.weight is torch.complex64"),
    ("model.conv.weight", WEIGHT.to(torch.float8_e5m2), "conv.weight is torch.float8"),
    ("model.conv.weight", WEIGHT.double() * 1e300, "conv.weight: not finite, as 1 of"),
    ("model.more", TENSOR, "1 unknown .first: more"),
    ("model.3", TENSOR, "model.3.*: Input should be a valid string"),
    ("more", 5, "unknown more .valid: identity, iteration"),
    ("places", [WHERE | {"device": "a\nb"}], "places.0.device: String should match"),
    ("places", [WHERE | {"precision": "fp8"}], "places.0.precision: Input should be 'fp32'"),
    ("places", [WHERE | {"processes": 10**400}], "places.0.processes: Input should be less"),
    ("places", [WHERE | {"more": 1}], "places.0: unknown more .valid: device, precision"),
    ("average", [], "average: Input should be a valid dictionary"),
    ("average", {"a": TENSOR}, "does not fit the average of its Spec: 1 unknown .first: a"),
    ("average", {"a": "b"}, "average.a: .* instance of Tensor"),
    ("curve.AP", [1.0], "curve: 1 values of 'AP' .valid: 2, an it"),
    ("optimizer", [], "optimizer: Input should be a valid dictionary"),
    ("optimizer", {}, "optimizer.state: Field required"),
    ("optimizer.state", [], "optimizer.state: Input should be a valid dictionary"),
    ("optimizer.state", {"a": {}}, "optimizer.state.a.*: Input should be a valid integer"),
    ("optimizer.state", {-1: {}}, "optimizer.state.-1.*: Input should be greater"),
    ("optimizer.state", {99: {"momentum_buffer": TENSOR}}, "state.99: no such .*valid: 0 to 5"),
    ("optimizer.state.0", {}, "state.0: nothing .valid: momentum_buffer"),
    ("optimizer.state.0", {"exp_avg": TENSOR}, "state.0: 'exp_avg' .valid: momentum_buffer"),
    ("optimizer.state.0.momentum_buffer", 1.0, "momentum_buffer: .* instance of Tensor"),
    ("optimizer.state.0.momentum_buffer", TENSOR, "momentum_buffer: float32 of shape .1,."),
    ("optimizer.state.0.momentum_buffer", torch.full((4, 3, 3, 3), INF), "valid: finite float32"),
    ("optimizer.state.0.momentum_buffer", None, "momentum_buffer: .* instance of Tensor"),
    ("optimizer.state.0.momentum_buffer", WEIGHT.long(), "momentum_buffer: int64 of shape"),
    ("optimizer.state.0.momentum_buffer", WEIGHT * 1j, "momentum_buffer: complex64 of shape"),
    ("optimizer.state.0.momentum_buffer", WEIGHT.double(), "momentum_buffer: float64 of shape"),
    ("optimizer.more", 1, "optimizer: unknown more .valid: state, param_groups"),
    ("optimizer.param_groups", GONE, "optimizer.param_groups: Field required"),
    ("optimizer.param_groups", [], "param_groups: not the parameters of this model"),
    ("optimizer.param_groups.0", 5, "param_groups.0: Input should be a valid dictionary"),
    ("optimizer.param_groups.0.params", "ab", "param_groups.0.params: Input should be a valid"),
    ("optimizer.param_groups.0.params", [0, 0], "param_groups: not the parameters"),
]
BOXES, LABELS = "truths.0.gt_boxes", "truths.0.gt_classes"
STEPS = [
    ("spec", GONE, "spec missing"),
    ("spec", 5, "spec: JSON input should be string"),
    ("spec", "{", "spec: Invalid JSON"),
    ("spec", "[" * 10**5, "spec: Invalid JSON: recursion limit"),
    ("spec", "[]", "spec: Input should be"),
    ("spec", '{"a": 1}', "spec: unknown a; valid: backbone"),
    ("spec", '{"num_classes": -1}', "spec.num_classes: Input should be greater than 0"),
    ("images", [], "images: List should have at least 1 item"),
    ("images", GONE, "images missing"),
    ("images", "abc", "images: Input should be a valid list"),
    ("images.0", [], "images.0: Input should be a valid dictionary"),
    ("images.0.image", GONE, "images.0.image: Field required"),
    ("images.0.image", "abc", "images.0.image: .* instance of Tensor"),
    ("images.0.image", TENSOR, "images.0: image: float32 of shape .1,. .valid: .3, height, width"),
    ("images.0.image", torch.ones(3, 0, 8), "images.0: image: float32 of shape .3, 0, 8"),
    ("images.0.image", torch.ones(3, 96, 96).bool(), "image: bool of .*valid: .*uint8 or float32"),
    ("images.0.image", torch.ones(3, 96, 96).double(), "image: float64 of shape"),
    ("images.0.image", torch.ones(3, 96, 96) * 1j, "image: complex64 of shape"),
    ("images.0.image", torch.ones(()).expand(3, 10**5, 10**5), "of more numbers than the file"),
    ("images.0.image_id", GONE, "images.0.image_id: Field required"),
    ("images.0.image_id", nested(200), "images.0.image_id.*: Input should be a valid"),
    ("images.0.image_id", 10**400, "images.0.image_id.*: Input should be less than"),
    ("images.0.image_id", 2**63, "images.0.image_id.*: Input should be less than"),
    ("images.0.height", 0, "images.0.height: Input should be greater than 0"),
    ("images.0.height", 2**70, "images.0.height: Input should be less than"),
    ("images.0.width", 10**400, "images.0.width: Input should be less than"),
    ("images.0.width", 2**52, "images.0: 4503599627370496 x 192 pixels: needs .* GB"),
    (
        "images.0.padded_to",
        (10**9, 10**9),
        "images padded to 1000000000 x 1000000000 pixels: needs",
    ),
    ("images.0.padded_to", (2**63, 2**63), "images.0.padded_to.0: Input should be less than"),
    ("images.0.more", 5, "images.0: unknown more .valid: image, image_id"),
    ("more", 5, "unknown more .valid: spec, images"),
    ("spec", '{"backbone": {"width": 1000000}}', "spec: backbone.width 1000000: needs .* GB"),
    ("images.0.padded_to", (1, 1), "images.0: padded_to: .1, 1. is less than the image"),
    ("truths", [], "truths: 0 .valid: 1, an image"),
    ("truths.0", None, "truths.0: Input should be a valid dictionary"),
    (BOXES, GONE, "gt_boxes: Field required"),
    (BOXES, [[0, 0, 1, 1]], "gt_boxes: .* instance of Tensor"),
    (BOXES, torch.ones(2, 3), "gt_boxes: float32 of shape .2, 3. .valid: .G, 4."),
    (BOXES, torch.ones(2, 4).long(), "gt_boxes: int64 of shape"),
    (BOXES, torch.full((2, 4), NAN), "truths.0.gt_boxes: not within the image .valid: 96 x 96"),
    (BOXES, torch.tensor([[0, 0, 9, INF]] * 2), "gt_boxes: not within the image"),
    (BOXES, torch.tensor([[0, 0, 9, 97.0]] * 2), "gt_boxes: not within the image"),
    (BOXES, torch.tensor([[8, 0, 4, 4.0]] * 2), "gt_boxes: not within the image"),
    (LABELS, torch.tensor([0, 3]), "gt_classes: out of range .valid: 0 to 2"),
    (LABELS, torch.tensor([0, -1]), "gt_classes: out of range"),
    (LABELS, torch.tensor([0.0, 1]), "gt_classes: float32 of shape"),
    (LABELS, torch.tensor([0]), "gt_classes: int64 of shape .1,. .valid: 2 rows"),
    ("truths.0.gt_known", "abc", "gt_known: .* instance of Tensor"),
    ("truths.0.gt_known", torch.ones(2, 9), "gt_known: float32 of .*valid: 2 rows of bool"),
    ("truths.0.gt_known", torch.ones(2, 9).bool(), "gt_known: bool of shape .2, 9. .valid: .G, 3."),
    ("truths.0.gt_annotated", torch.ones(2), "gt_annotated: float32 of .*valid: 2 rows of bool"),
    ("truths.0.image_size", torch.tensor(2), "truths.0: unknown image_size .valid: gt_boxes"),
    ("truths.0._fields", TENSOR, "truths.0: unknown _fields"),
    ("truths.0.__class__", TENSOR, "truths.0: unknown __class__"),
    ("model", [], "model: Input should be a valid dictionary"),
    ("model", {"a": TENSOR}, "does not fit its Spec: .* missing"),
    ("seed", "3", "seed: Input should be a valid integer"),
    ("seed", -3, "seed: Input should be greater"),
    ("iteration", 10**400, "iteration: Input should be less than"),
    ("rate", None, "rate: Input should be a valid number"),
    ("rate", NAN, "rate: Input should be"),
    ("device", "tpu", "device: Input should be 'cpu' or 'cuda'"),
    ("precision", "fp8", "precision: Input should be 'fp32', 'tf32' or 'bf16'"),
]


class Stop(Exception):
    pass


@functools.cache
def sound_state():
    """The content of the state that a training leaves after its second step."""

    def stop(_data, _recipe, _seed, iteration, part):
        if iteration == 2:
            raise Stop
        return tiny_training.batches(_data, _recipe, _seed, iteration, part)

    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        tiny_training.install(patch)
        patch.setattr("p2s.train.engine.train_batch", stop)
        with pytest.raises(Stop):
            train(Tiny(), SPEC, DATA, folder, seed=3, loop=Loop(save_every=0))
        return torch.load(Path(folder) / "state.pt", weights_only=True)


@functools.cache
def sound_step():
    """The content of a step of a tiny detector."""
    spec, given = Spec.named("CenterNet*").changed(TINY), {"seed": 3, "iteration": 2, "rate": 0.1}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "step.pt"
        replay.keep_step(path, tiny("CenterNet*"), spec, [scene(0)], **given)
        return torch.load(path, weights_only=True)


def changed(content, place, value):
    """As `put`; a weight's own name has dots."""
    part, _, name = place.partition(".")
    if part == "model" and name:
        return content | {"model": content["model"] | {_key(name): value}}
    return put(content, place, value)


def _key(name):
    return int(name) if name.isdigit() else name


@pytest.mark.parametrize(("place", "value", "told"), rows(STATES))
def test_a_state_is_refused_with_file_and_field(place, value, told, tmp_path, monkeypatch):
    tiny_training.install(monkeypatch)
    torch.save(changed(sound_state(), place, value), tmp_path / "state.pt")
    before = (tmp_path / "state.pt").read_bytes()
    name = "" if "another training" in told else "state.pt"
    require_told(lambda: train(Tiny(), SPEC, DATA, tmp_path, seed=3), told, name)
    assert (tmp_path / "state.pt").read_bytes() == before


@pytest.mark.parametrize(("place", "value", "told"), rows(STEPS))
def test_a_step_is_refused_with_file_and_field(place, value, told, tmp_path):
    torch.save(changed(sound_step(), place, value), tmp_path / "step.pt")
    require_told(lambda: replay.replay(tmp_path / "step.pt"), told, "step.pt")


@pytest.mark.parametrize("sizes", [[(96, 96), (96, 128)], [(96, 96), None], [(128, 96)] * 2])
def test_a_step_is_padded_to_one_size_that_its_images_fit_in(sizes, tmp_path):
    step = sound_step()
    [image], larger = step["images"], torch.ones(3, 96, 128)
    images = [image | {"padded_to": size} for size in sizes]
    images[1]["image"] = larger
    torch.save(step | {"images": images, "truths": step["truths"] * 2}, tmp_path / "step.pt")
    require_told(
        lambda: replay.replay(tmp_path / "step.pt"),
        "step.pt: images.*padded_to.*(one that all|less than the image)",
    )


def test_a_state_is_told_whose_trained_weights_are_not_finite_beside_an_average(
    tmp_path, monkeypatch
):
    tiny_training.install(monkeypatch)
    spec = SPEC.changed({"recipe": {"average": "ema"}})
    sound = sound_state()
    state = changed(sound, "model.conv.weight", WEIGHT * NAN) | {"average": sound["model"]}
    state["identity"] = training_id(spec, DATA.fingerprint, 3)
    torch.save(state, tmp_path / "state.pt")
    require_told(
        lambda: train(Tiny(), spec, DATA, tmp_path, seed=3),
        "state.pt: conv.weight: not finite, as 1 of",
    )


def test_a_state_beyond_the_end_is_refused(tmp_path, monkeypatch):
    tiny_training.install(monkeypatch)
    state = sound_state() | {"iteration": 20, "curve": {"iteration": [*range(20)]}}
    torch.save(state, tmp_path / "state.pt")
    require_told(
        lambda: train(Tiny(), SPEC, DATA, tmp_path, seed=3), "state.pt: iteration: 20 .valid: 12"
    )


def test_the_sound_ones_are_read(tmp_path, monkeypatch):
    torch.save(sound_step(), tmp_path / "step.pt")
    assert replay.replay(tmp_path / "step.pt")["broken"] == []
    step = put(sound_step(), "images.0.padded_to", (128, 96))
    step["truths"][0] |= {"gt_known": torch.ones(2, 3).bool(), "gt_annotated": torch.ones(2).bool()}
    torch.save(step, tmp_path / "step.pt")
    assert replay.replay(tmp_path / "step.pt")["broken"] == []
    tiny_training.install(monkeypatch)
    torch.save(sound_state(), tmp_path / "state.pt")
    train(Tiny(), SPEC, DATA, tmp_path, seed=3)
    assert (tmp_path / "model.safetensors").exists()


@pytest.mark.parametrize("name", ["step", "exp_avg_sq"])
def test_a_moment_of_adam_that_cannot_be_negative_is_refused(tmp_path, name):
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.AdamW([weight])
    weight.sum().backward()
    optimizer.step()
    state = optimizer.state_dict()
    moments = kept.Moments.model_validate({**state, "param_groups": [{"params": [0]}]})
    kept.restore(optimizer, moments, tmp_path)
    moments.state[0][name] -= 9
    with pytest.raises(ValueError, match=f"optimizer.state.0: {name}: -.* .valid: 0 or more"):
        kept.restore(optimizer, moments, tmp_path)
