"""AP by precision: the same trained desk model, as trained and optimised."""

import time
from functools import partial
from typing import Any

import torch

from p2s.bench.nets import onnx
from p2s.bench.ways import Way
from p2s.data.loader import test_inputs
from p2s.deploy.fast import optimize
from p2s.deploy.means import CPU
from p2s.measure.coco import coco_numbers
from p2s.study import train_eval
from p2s.study.project import Project
from p2s.study.study import find

MODEL = {  # a run of the study whose weights are used, and trained first where there are none
    "experiment": "table5",
    "row": "CascadeRCNN-CenterNet w. prob.",
    "variant": "scores above .05",
    "scale": "desk",
    "seed": 0,
}
CALIBRATION = 32  # training images that set the scales of int8


def precisions(project: Project) -> dict[str, Any]:
    """COCO's AP in percent and the seconds of a validation image, a row each way."""
    run = find(project, **MODEL)
    data, val = train_eval.load_data(run, project)
    model, *_ = train_eval.trained(run, project, data)
    model.eval().set_test(run.spec.test)
    calibration = [test_inputs(data, index, run.spec.test) for index in range(CALIBRATION)]
    of, size = partial(Way, detector=run.detector), tuple(calibration[0]["image"].shape[1:])
    ways = {"ours, as trained": of(lambda: model)}
    for precision in CPU.precisions:
        fast = partial(optimize, model, precision, calibration=calibration)
        ways[f"ours, optimised, {precision}"] = of(fast, precision=precision, means="compiled")
    exported = partial(onnx, model, size, calibration)
    ways["ours, onnxruntime, int8"] = of(exported, precision="int8", runtime="onnxruntime")
    rows = [
        {"way": name, **way.columns, **_numbers(way.make(), run, val)} for name, way in ways.items()
    ]
    for row in rows:
        row["ratio"] = rows[0]["total"] / row["total"]
    return {"rows": rows, "training_id": run.training_id}


@torch.no_grad()
def _numbers(model, run, val):
    inputs = [test_inputs(val, index, run.spec.test) for index in range(len(val.images))]
    model(inputs[:1])  # compiles
    start = time.perf_counter()
    detections = [model([image])[0]["instances"] for image in inputs]
    seconds = (time.perf_counter() - start) / len(inputs)
    return {"AP": coco_numbers(val, detections)["AP"], "total": seconds}
