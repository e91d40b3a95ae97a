"""The targets of the work on speed, and whether the records reach them."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from p2s.study.benches import Bench

AUTHORS = {"runtime": "authors"}  # of a row, by its columns
EAGER = {"runtime": "ours", "means": "eager"}
FP32, BF16, INT8 = (
    {"runtime": "ours", "means": "compiled", "precision": name} for name in ("fp32", "bf16", "int8")
)
EVERY_INT8 = {"int8": INT8} | {
    f"int8 by {name}": {"runtime": runtime, "precision": "int8"}
    for name, runtime in (("onnxruntime", "onnxruntime"), ("OpenVINO", "openvino"))
}
SHIPPED = {"runtime": "torchvision", "means": "none"}
NETS = ("fasterrcnn", "retinanet")  # of torchvision

Target = tuple[str, str, float, float]  # what, "≥" or "≤", wanted, measured: NaN where nothing was


def judged(benches: Mapping[str, Bench]) -> list[dict[str, Any]]:
    """Every target with its verdict, from records by kind: reached, missed or not measured."""
    return [
        {
            "target": target,
            "wanted": f"{sign} {wanted:g}",
            "measured": measured,
            "verdict": _verdict(sign, wanted, measured),
        }
        for part in (_speed, _training, _costs, _precision)
        for target, sign, wanted, measured in part(benches)
    ]


def value(bench: Bench | None, key: str, **columns: str) -> float:
    """What the first row with these columns has under a key; NaN where there is no such number."""
    for row in bench.rows if bench else ():
        if columns.items() <= row.items() and row.get(key) is not None:
            return float(row[key])
    return np.nan


def _verdict(sign, wanted, measured):
    if not np.isfinite(measured):
        return "not measured"
    over = round(measured - wanted, 9)  # 42.1 - 42 is a little more than .1
    return "reached" if (over >= 0 if sign == "≥" else over <= 0) else "missed"


def _speed(benches) -> Iterator[Target]:
    seconds, share = (partial(value, benches.get("infer"), key) for key in ("total", "share"))
    authors, fp32 = seconds(**AUTHORS), seconds(**FP32)
    yield "fp32: times as fast as the authors'", "≥", 1.8, authors / fp32
    yield "bf16: times as fast as the authors'", "≥", 3.5, authors / seconds(**BF16)
    for name, row in EVERY_INT8.items():
        yield f"{name}: times as fast as the authors'", "≥", 5.0, authors / seconds(**row)
    yield "fp32, not compiled: times as fast", "≥", 1.4, authors / seconds(**EAGER)
    yield "fp32: share of the ceiling", "≥", 0.75, share(**FP32)
    yield "bf16: share of the ceiling", "≥", 0.70, share(**BF16)
    for net in NETS:
        theirs = seconds(detector=f"{net}_resnet50_fpn", **SHIPPED)
        yield f"fp32: times as fast as torchvision {net}", "≥", 1.0, theirs / fp32


def _training(benches) -> Iterator[Target]:
    train, step = benches.get("train"), partial(value, benches.get("step"), "share")
    seconds = partial(value, train, "total")
    ratio = seconds(runtime="detectron2") / seconds(runtime="ours")
    difference = train.facts.get("loss_difference", np.nan) if train else np.nan
    overhead = step(way="assignment and losses") + step(way="decoding")
    minutes = value(benches.get("desk"), "total", way="run") / 60
    yield "training: times as fast as the stock way", "≥", 4.0, ratio
    yield "training: largest difference of losses", "≤", 1e-3, difference
    yield "full size: assignment, losses and decoding, share of a step", "≤", 0.1, overhead
    yield "a whole desk run on one thread, minutes", "≤", 6, minutes


def _costs(benches) -> Iterator[Target]:
    classes = partial(value, benches.get("classes"), "total", detector="CenterNet2")
    memory = partial(value, benches.get("memory"), "memory")
    times = classes(count=1203) / classes(count=80)
    yield "time with 1203 classes over that with 80", "≤", 1.05, times
    yield "fp32: peak memory over the authors'", "≤", 1.0, memory(**FP32) / memory(**AUTHORS)


def _precision(benches) -> Iterator[Target]:
    ap = partial(value, benches.get("precision"), "AP")
    fp32 = ap(precision="fp32")
    yield "bf16: AP from that of fp32", "≤", 0.1, abs(ap(**BF16) - fp32)
    for name, row in EVERY_INT8.items():
        yield f"{name}: AP from that of fp32", "≤", 0.5, abs(ap(**row) - fp32)
