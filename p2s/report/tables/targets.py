"""The targets of the work on speed, and whether the records reach them."""

from functools import partial

import numpy as np

AUTHORS = "authors' centernet2"  # names of ways in `nets`
OURS = "ours, optimised, "
INT8 = {"int8": f"{OURS}int8", "int8 by onnxruntime": "ours, onnxruntime, int8"}
NETS = [f"torchvision {net}_resnet50_fpn" for net in ("fasterrcnn", "retinanet")]


def judged(benches):
    """Every target: what is wanted, what was measured (NaN where nothing was), the verdict.

    `benches` are records by kind. Columns: target, wanted, measured, verdict, which is reached,
    missed or not measured.
    """
    lines = [*_speed(benches.get("infer")), *_training(benches.get("train")), *_others(benches)]
    return [
        {
            "target": target,
            "wanted": f"{sign} {wanted:g}",
            "measured": measured,
            "verdict": _verdict(sign, wanted, measured),
        }
        for target, sign, wanted, measured in lines
    ]


def value(bench, key, name, by="way"):
    """What the first row of a name has under a key; NaN where record, row or value is missing."""
    found = [row.get(key) for row in bench.rows if row[by] == name] if bench else []
    return float(found[0]) if found and found[0] is not None else np.nan


def _verdict(sign, wanted, measured):
    if not np.isfinite(measured):
        return "not measured"
    over = round(measured - wanted, 9)  # 42.1 - 42 is a little more than .1
    return "reached" if (over >= 0 if sign == "≥" else over <= 0) else "missed"


def _speed(infer):
    seconds, share = partial(value, infer, "total"), partial(value, infer, "share")
    authors, fp32 = seconds(AUTHORS), seconds(f"{OURS}fp32")
    yield "fp32: times as fast as the authors'", "≥", 1.8, authors / fp32
    yield "bf16: times as fast as the authors'", "≥", 3.5, authors / seconds(f"{OURS}bf16")
    for name, way in INT8.items():
        yield f"{name}: times as fast as the authors'", "≥", 5.0, authors / seconds(way)
    yield "fp32, not compiled: times as fast", "≥", 1.4, authors / seconds(f"{OURS}eager")
    yield "fp32: share of the ceiling", "≥", 0.75, share(f"{OURS}fp32")
    yield "bf16: share of the ceiling", "≥", 0.70, share(f"{OURS}bf16")
    for net in NETS:
        yield (
            f"fp32: times as fast as {net.removesuffix('_resnet50_fpn')}",
            "≥",
            1.0,
            (seconds(net) / fp32),
        )


def _training(train):
    seconds = partial(value, train, "total")
    difference = train.facts.get("loss_difference", np.nan) if train else np.nan
    yield "training: times as fast as the stock way", "≥", 4.0, seconds("stock") / seconds("ours")
    yield "training: largest difference of losses", "≤", 1e-3, difference


def _others(benches):
    step, desk = partial(value, benches.get("step"), "share"), benches.get("desk")
    overhead = step("assignment and losses") + step("decoding")
    yield "full size: assignment, losses and decoding, share of a step", "≤", 0.1, overhead
    yield "a whole desk run on one thread, minutes", "≤", 6, value(desk, "total", "run") / 60
    classes = partial(value, benches.get("classes"), "total")
    memory = partial(value, benches.get("memory"), "memory")
    ap = partial(value, benches.get("precision"), "AP")
    fp32 = ap("fp32", "precision")
    many, few = (classes(f"CenterNet2, {count} classes") for count in (1203, 80))
    yield "time with 1203 classes over that with 80", "≤", 1.05, many / few
    yield "fp32: peak memory over the authors'", "≤", 1.0, memory(f"{OURS}fp32") / memory(AUTHORS)
    yield "bf16: AP from that of fp32", "≤", 0.1, abs(ap(f"{OURS}bf16") - fp32)
    for name, way in INT8.items():
        yield f"{name}: AP from that of fp32", "≤", 0.5, abs(ap(way) - fp32)
