"""What a two-stage detector says of one image, from its heat map to its scores (Fig. 1)."""

from datetime import UTC, datetime

import torch

from p2s import files
from p2s.data import glyphs
from p2s.data.loader import test_inputs
from p2s.study import records, views
from p2s.study import run as train_eval
from p2s.study.runner import is_trained
from p2s.train import engine

IMAGE = 6  # a validation scene whose objects hardly overlap, so that each can be followed


def keep(project, scale):
    """Write the View of a scene to the project's records of the framework; returns its path."""
    return records.write(measure(project, scale), project.views)


def from_weights(project):
    """The View of a scene by the best trained model that the cache holds, or None."""
    for scale in views.SCALES:
        if is_trained(project, views.run(project, scale)):
            return measure(project, scale)
    return None


def measure(project, scale, index=IMAGE):
    """The View of a validation scene by the trained model of a scale, from the cache."""
    run = views.run(project, scale)
    made = train_eval.made_by(project)
    folder = project.weights(run)
    model, spec, _ = engine.load(folder)
    few = run.spec.data.model_copy(update={"train": 1, "val": index + 1})
    _, scenes = glyphs.load(few, project.cache / "data")
    return views.View(
        id=f"{run.training_id}-{index}",
        training_id=run.training_id,
        detector=run.detector,
        scale=scale,
        seed=run.seed,
        data=run.spec.data.model_dump(mode="json"),
        weights=files.file_sha256(folder / "model.safetensors"),
        seen=observe(model, scenes, index, run.spec.test),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        **{name: made[name] for name in ("git", "versions", "machine")},
    )


@torch.inference_mode()
def observe(model, data, index, test):
    """What a detector with a dense first stage says of an image of `data`, as view.Seen."""
    scene = train_eval.scene(model, data, index, test)
    inputs = [test_inputs(data, index, test)]
    images, features, proposals = model.first_stage(inputs)
    _, [p_class] = model.roi_heads.classify(features, proposals)
    heat, stride = heat_map(model.proposal_generator, features, images.image_sizes[0])
    return views.Seen(
        cell=stride * inputs[0]["width"] / images.image_sizes[0][1],
        heat=_rounded(heat),
        p_class=_rounded(p_class[: len(scene["proposals"])]),
        **scene,
    )


def heat_map(stage, features, size):
    """P(O) of one image on the cells of the finest level, (H, W), and that level's stride.

    Each cell has the most that any level and anchor says there: a coarse cell covers many.
    """
    grid, predictions = stage.predict(features)
    p_object = stage.score(predictions)[0].sigmoid().amax(-1)  # (A,)
    finest = int(stage.strides[0])
    height, width = (-(-side // finest) for side in size)
    levels = []
    for level, stride in enumerate(stage.strides.int().tolist()):
        shape = features[stage.in_features[level]].shape[-2:]
        cells = p_object[grid.level == level].view(*shape, -1).amax(-1)
        times = stride // finest
        wide = cells.repeat_interleave(times, 0).repeat_interleave(times, 1)
        levels.append(wide[:height, :width])
    return torch.stack(levels).amax(0), finest


def _rounded(values):
    return [[round(value, 4) for value in row] for row in values.double().tolist()]
