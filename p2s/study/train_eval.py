"""What notebooks/train_eval.ipynb calls: data, a trained model, its numbers, the record."""

import json
import time
from collections.abc import Sequence
from contextlib import chdir
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from p2s import files
from p2s.data import glyphs, releases
from p2s.data.coco import CocoSet
from p2s.data.joined import joined, share_of_last
from p2s.data.lvis import LvisSet
from p2s.maths.likelihood import AUDIT
from p2s.measure import calibration, fusion, geometry, oracle, posterior, pseudo
from p2s.measure.coco import detect, replicates, score
from p2s.measure.lvis import federated_numbers
from p2s.measure.scenes import scene
from p2s.model.device import claim_gpu, described, device_of, place, require
from p2s.model.zoo import build
from p2s.spec import Coco, Glyphs, Spec, Test
from p2s.spec.identity import imported_id
from p2s.spec.pretraining import READINGS
from p2s.study import provenance, records
from p2s.study.project import TRAIN_EVAL, Place, Project
from p2s.study.runs import Run
from p2s.train import engine, nodes, processes
from p2s.train import folder as kept
from p2s.train.pretrain import read_glyphs
from p2s.train.watch import Watch

SCENES = 4  # validation images whose proposals and detections are kept, for figures
CURVE_POINTS = 200
PLAIN = ("cpu", "fp32", 1)  # where most records' trainings were
WATCHED, WATCHED_PROPOSALS = 100, 64  # images and proposals behind AP along a training
MEASURES = {  # of Experiment.measures
    "calibration": calibration.calibration_numbers,
    "fusion": fusion.fusion_numbers,
    "geometry": geometry.geometry_numbers,
    "posterior": posterior.posterior_numbers,
}


def made_by(project: Project) -> dict[str, Any]:
    """Where a record is made: commit, code, packages and machine; asked before the work starts."""
    torch.set_num_threads(1)  # the number of threads changes bits; here also outside the runner
    return {
        "git": provenance.git_state(project.root),
        "source_hash": provenance.source_hash(project.root / TRAIN_EVAL),
        "versions": provenance.versions(),
        "machine": provenance.machine() | _beside_a_cpu(project),
    }


def _beside_a_cpu(project):
    """Where this process computes, if not on a CPU in fp32; jobs at once share the GPUs."""
    here = Place.here()
    device = device_of(here.device)
    if here.device in ("auto", "cuda") and device.type == "cuda" and here.processes == 1:
        claim_gpu(project.cache / "gpus")
        device = device_of("cuda")
    told = {} if device.type == "cpu" else {"device": described(device)}
    return told | ({} if here.precision == "fp32" else {"precision": here.precision})


def load_data(run: Run, project: Project) -> Sequence[CocoSet]:
    """Training and validation CocoSet of a run; glyph scenes are drawn into the cache if needed."""
    data = run.spec.data
    if not isinstance(data, Coco):
        train, val = glyphs.load(data, project.cache / "data")
        return _with_pseudo_labels(run, project, train), val
    with chdir(project.root):  # a data set's paths are relative to the project
        return releases.read_release(data)


def _with_pseudo_labels(run, project, train):
    """Training scenes with those that the training it starts from has labelled, if any are."""
    if not (count := run.spec.recipe.pseudo_scenes):
        return train
    model, *_ = engine.load(_start(run, project))
    others, _ = glyphs.load(pseudo.unlabelled(run.spec.data, count), project.cache / "data")
    both = joined(train, pseudo.labelled(model, others, _of_labels(run)))
    return replace(both, fingerprint=train.fingerprint)  # the recipe tells of the others


def _of_labels(run):
    """Test settings of labels: of the detector and its training, the same for all evaluations."""
    recipe, test = run.spec.recipe, Spec.named(run.detector).test
    edges = {"short_edge": max(recipe.short_edge), "long_edge": recipe.long_edge}
    return test.model_copy(update=edges)


def trained(
    run: Run, project: Project, data: CocoSet, val: CocoSet | None = None
) -> tuple[nn.Module, dict, float | None]:
    """A trained model, its loss curve and the seconds it took; cached weights are used.

    With validation data the curve has AP of the first WATCHED images at each quarter. A released
    model has neither curve nor seconds.
    """
    if run.weights:
        return _released(run, project, data), {}, None
    folder, here = project.weights(run), Place.here()
    if here.ranks > 1 and not engine.finished(folder, run.training_id):
        run.spec.recipe.require_parts(here.ranks)
        require(here.device, here.precision, here.processes)
        work = partial(_trained_by_a_rank, run, project, val is not None)
        if here.nodes > 1:
            nodes.together(work, here.nodes, here.processes)
        else:
            processes.together(work, here.processes)
    model = _trained(run, project, data, val)
    return model, thinned(kept.curve(folder)), round(kept.told(folder).seconds, 2)


def _released(run, project, data):
    """The imported model of a run; ValueError if it is not the net or the classes of the run."""
    folder = project.weights(run)
    engine.finished(folder, imported_id(folder))
    model, spec, classes = engine.load(folder)
    ours, theirs = _net(run.spec), _net(spec)
    differing = [name for name in ours if ours[name] != theirs.get(name)]
    differing += ["names of classes"] * (list(classes) != list(data.classes))
    if differing:
        raise ValueError(f"{folder}: not the {run.detector} of {run.row}: {', '.join(differing)}")
    return _placed(model)


def _placed(model):
    return place(model, device_of(Place.here().device), Place.here().precision)


def _net(spec):
    """The settings that a net is made of."""
    fields = spec.training_fields()
    del fields["recipe"], fields["backbone"]["weights"]
    return fields


def _origin(run, project):
    """Of a released model the file that it was made of, as a finding."""
    if not run.weights:
        return {}
    told = json.loads((project.weights(run) / "imported.json").read_text())
    return {"released": {name: told[name] for name in ("file", "sha256", "as")}}


def _pseudo_labelled(run, project):
    """Of self-training, which share of images and boxes a model has labelled, as a finding."""
    if run.spec.data.kind != "self_training" and not run.spec.recipe.pseudo_scenes:
        return {}
    train, _ = load_data(run, project)
    return {"pseudo_labelled": share_of_last(train)}


def _trained(run, project, data, val):
    """The model, trained where the environment says or read where that is done."""
    torch.manual_seed(run.seed)
    folder = project.weights(run).absolute()
    with chdir(project.root):  # pretrained weights are relative to it too
        model = build(_started(run, project))
        pretrained = run.spec.backbone.weights in READINGS
        if pretrained and not engine.finished(folder, run.training_id):
            read_glyphs(model.backbone, run.spec, project.cache)
        _placed(model)
        watch = None if val is None else Watch(partial(_watched_ap, run.spec, val))
        every, workers = 60 * Place.here().save_minutes, Place.here().workers
        loop = engine.Loop(save_every=every, workers=workers, watch=watch)
        return engine.train(model, run.spec, data, folder, seed=run.seed, loop=loop)


def _started(run, project):
    """The Spec whose start is a folder."""
    if not run.starts_from:
        return run.spec
    places = {"start": _start(run, project), "pseudo_scenes": 0}
    return run.spec.changed({"recipe": places})


def _start(run, project):
    """The folder of the training that a run starts from; ValueError if it is not there."""
    folder = project.trained(run.starts_from)
    if not (folder / "model.safetensors").exists():
        told = f"{run.label} starts from a training whose weights are not in the cache"
        raise ValueError(f"{told}: {folder} (valid: there; without its record it trains again)")
    return folder


def _trained_by_a_rank(run, project, watched):
    data, val = load_data(run, project)
    _trained(run, project, data, val if watched else None)


def _watched_ap(spec, val, model):
    """AP by P(C|O) of the first images: the same test for all that share a training."""
    edges = {name: getattr(spec.test, name) for name in ("short_edge", "long_edge")}
    test = Test(fusion="class", proposals=WATCHED_PROPOSALS, score_threshold=0, **edges)
    few = val.first(WATCHED)
    value = _numbers(spec, few, *detect(model, few, test))["AP"]
    model.set_test(spec.test)
    return value


def thinned(curve: dict[str, list], points: int = CURVE_POINTS) -> dict[str, list[float]]:
    """A curve as means over at most `points` stretches of equal length, 4 digits each.

    Of what is named the worst in an audit it is the largest.
    """
    stretch = max(1, -(-len(curve["iteration"]) // points))
    of = {name: np.max if name.startswith(f"{AUDIT}worst") else _mean for name in curve}
    return {
        name: [float(f"{of[name](part):.4g}") for part in _parts(values, stretch)]
        for name, values in curve.items()
    }


def measured(run: Run, project: Project, model: nn.Module, data: CocoSet) -> dict[str, Any]:
    """COCO's or LVIS's numbers in percent, seconds, and the scenes, as fields of a record."""
    start = time.monotonic()
    detections, proposals = detect(model, data, run.spec.test)
    metrics = _numbers(run.spec, data, detections, proposals)
    seconds, per_class = time.monotonic() - start, metrics.pop("per_class")
    model.cpu()  # what follows looks at a few outputs closely
    indices = range(min(SCENES, len(data.images)))
    return {
        "metrics": metrics,
        "per_class": per_class,
        "replicates": {} if isinstance(data, LvisSet) else {"AP": replicates(data, detections)},
        "timings": {"evaluate_s": round(seconds, 2)},
        "scenes": [scene(model, data, index, run.spec.test) for index in indices],
        "findings": _origin(run, project)
        | _pseudo_labelled(run, project)
        | {name: MEASURES[name](model, data, run.spec) for name in run.measures},
        "weights": files.file_sha256(project.weights(run) / "model.safetensors"),
    }


def write_record(run: Run, project: Project, fields: dict[str, Any]) -> Path:
    """Write the record of a run from the fields that the steps above gave; returns its path."""
    machine = fields["machine"] | _trained_on(project.weights(run))
    return records.write(run.record(**fields | {"machine": machine}), project.records(run.scale))


def _trained_on(folder):
    """Where a training was, if not all of it in one process on a CPU in fp32."""
    told = kept.told(folder) if (folder / "training.json").exists() else None
    places = [*told.before, told.where] if told and told.where else []
    if all((each.device[:3], each.precision, each.processes) == PLAIN for each in places):
        return {}
    return {"trained_on": ", then ".join(map(str, places))}


def _numbers(spec, data, detections, proposals):
    answers = detections, proposals
    if not isinstance(data, LvisSet):
        return score(data, *answers)
    numbers = score(data, *answers, federated_numbers)
    known = isinstance(spec.data, Glyphs)  # of other data nobody knows all objects
    return numbers | (oracle.full_truth_numbers(data, *answers) if known else {})


def _mean(values):
    """The mean of what is a number; NaN of none."""
    values = np.asarray(values)
    values = values[~np.isnan(values)]
    return values.mean() if len(values) else np.nan


def _parts(values, stretch):
    return [values[start : start + stretch] for start in range(0, len(values), stretch)]
