"""What notebooks/train_eval.ipynb calls: data, a trained model, its numbers, the record."""

import json
import time
from collections.abc import Sequence
from contextlib import chdir
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from p2s import files
from p2s.data import glyphs, releases
from p2s.data.coco import CocoSet
from p2s.data.joined import joined, share_of_last
from p2s.data.lvis import LvisSet
from p2s.measure import calibration, fusion, geometry, oracle, posterior, pseudo
from p2s.measure.coco import coco_numbers, detect, replicates, score
from p2s.measure.lvis import federated_numbers
from p2s.measure.parts import parts
from p2s.measure.scenes import scene
from p2s.model.device import claim_gpu, described, device_of, place, require
from p2s.model.zoo import build
from p2s.spec import Coco, Glyphs, Spec, Test
from p2s.spec.identity import imported_id
from p2s.study import provenance, records
from p2s.study.project import TRAIN_EVAL, Place, Project
from p2s.study.runs import Run
from p2s.train import engine, nodes, processes
from p2s.train import folder as kept
from p2s.train.curve import thinned
from p2s.train.pretrain import pretrain
from p2s.train.watch import Watch

SCENES = 4  # validation images whose proposals and detections are kept, for figures
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
    others, _ = glyphs.load(pseudo.unlabelled(run.spec.data, count), project.cache / "data")
    both = joined(train, replace(others, annotations=_labels(run, project, others)))
    return replace(both, fingerprint=train.fingerprint)  # the recipe tells of the others


def _labels(run, project, others):
    """The labels of other scenes, kept: all ranks and evaluations of the training want them."""
    test = _of_labels(run)
    asked = [run.start.training_id, others.fingerprint, test.model_dump(mode="json")]
    path = project.cache / "labels" / f"{files.canonical_hash(asked)}.json"
    if not path.exists():
        model, *_ = engine.load(_start(run, project))
        files.write_atomic(path, json.dumps(pseudo.labels(model, others, test)).encode())
    return files.read_json(path, list[list[dict]])


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
    if run.start and not engine.finished(folder, run.training_id):
        _start(run, project)  # before there are ranks
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
    told = files.read_json(project.weights(run) / "imported.json", dict[str, Any])
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
        pretrained = isinstance(run.spec.backbone.weights, str)
        if pretrained and not engine.finished(folder, run.training_id):
            pretrain(model.backbone, run.spec, project.cache)
        _placed(model)
        watch = None if val is None else Watch(partial(_watched_ap, run.spec, val))
        every, workers = 60 * Place.here().save_minutes, Place.here().workers
        loop = engine.Loop(save_every=every, workers=workers, watch=watch)
        return engine.train(model, run.spec, data, folder, seed=run.seed, loop=loop)


def _started(run, project):
    """The Spec whose start is a folder."""
    if not run.start:
        return run.spec
    places = {"start": project.weights(run.start), "pseudo_scenes": 0}
    return run.spec.changed({"recipe": places})


def _start(run, project):
    """The folder of the training that a run starts from, which is trained if it is not there."""
    folder = project.weights(run.start)
    if not engine.finished(folder, run.start.training_id):
        trained(run.start, project, *load_data(run.start, project))
    return folder


def _trained_by_a_rank(run, project, watched):
    data, val = load_data(run, project)
    _trained(run, project, data, val if watched else None)


def _watched_ap(spec, val, model):
    """AP by P(C|O) of the first images: the same test for all that share a training."""
    edges = {name: getattr(spec.test, name) for name in ("short_edge", "long_edge")}
    test = Test(fusion="class", proposals=WATCHED_PROPOSALS, score_threshold=0, **edges)
    few = val.first(WATCHED)
    value = _scored(few, detect(model, few, test))["AP"]
    model.set_test(spec.test)
    return value


def measured(run: Run, project: Project, model: nn.Module, data: CocoSet) -> dict[str, Any]:
    """COCO's or LVIS's numbers in percent, seconds, and the scenes, as fields of a record."""
    start = time.monotonic()
    detections, proposals = detect(model, data, run.spec.test)
    metrics = _numbers(run.spec, data, detections, proposals)
    seconds, per_class = time.monotonic() - start, metrics.pop("per_class")
    model.cpu()  # what follows looks at a few outputs closely
    indices, federated = range(min(SCENES, len(data.images))), isinstance(data, LvisSet)
    return {
        "metrics": metrics,
        "per_class": per_class,
        "replicates": {} if federated else {"AP": replicates(data, detections)},
        "parts": {} if federated else parts(data, detections),
        "timings": {"evaluate_s": round(seconds, 2)},
        "scenes": [scene(model, data, index, run.spec.test) for index in indices],
        "findings": _origin(run, project)
        | _pseudo_labelled(run, project)
        | {name: MEASURES[name](model, data, run.spec) for name in run.measures},
        "weights": files.file_sha256(project.weights(run) / files.WEIGHTS),
    }


def made(run: Run, project: Project) -> records.Record:
    """The record of a run, made by all the steps of the notebook, and not written."""
    where = made_by(project)
    train, val = load_data(run, project)
    model, curve, seconds = trained(run, project, train, val)
    result = measured(run, project, model, val)
    result["timings"] |= {"train_s": seconds}
    return record_of(run, project, {**result, **where, "curve": curve})


def record_of(run: Run, project: Project, fields: dict[str, Any]) -> records.Record:
    """The record of a run from the fields that the steps above gave."""
    folder = project.weights(run)
    sizes = {"memory_mb": provenance.most_memory(), "weights_mb": _megabytes(folder)}
    machine = fields["machine"] | _trained_on(folder) | sizes
    return run.record(**fields | {"machine": machine})


def write_record(run: Run, project: Project, fields: dict[str, Any]) -> Path:
    """Write it; returns its path."""
    return records.write(record_of(run, project, fields), project.records(run.scale))


def _megabytes(folder):
    sizes = (path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return -(-sum(sizes) // 10**6)


def _trained_on(folder):
    """Where a training was, if not all of it in one process on a CPU in fp32."""
    told = kept.told(folder) if (folder / "training.json").exists() else None
    places = [*told.before, told.where] if told and told.where else []
    if all((each.device[:3], each.precision, each.processes) == PLAIN for each in places):
        return {}
    return {"trained_on": ", then ".join(map(str, places))}


def _numbers(spec, data, detections, proposals):
    numbers = _scored(data, (detections, proposals))
    if not isinstance(data, LvisSet) or not isinstance(spec.data, Glyphs):
        return numbers  # of other data nobody knows all objects
    return numbers | oracle.full_truth_numbers(data, detections, proposals)


def _scored(data, answers):
    return score(data, *answers, federated_numbers if isinstance(data, LvisSet) else coco_numbers)
