"""AP by precision: the same trained desk model, as trained and optimised."""

import time

import torch

from p2s.bench.nets import onnx
from p2s.data.loader import test_inputs
from p2s.deploy.fast import PRECISIONS, optimize
from p2s.measure.coco import coco_numbers
from p2s.study import run as train_eval
from p2s.study.study import find

MODEL = {  # a run of the study whose weights are used, and trained first where there are none
    "experiment": "table5",
    "row": "CascadeRCNN-CenterNet w. prob.",
    "variant": "scores above .05",
    "scale": "desk",
    "seed": 0,
}
CALIBRATION = 32  # training images that set the scales of int8


def measure(project):
    """COCO's AP in percent and the seconds of a validation image, a row each way."""
    run = find(project, **MODEL)
    data, val = train_eval.load_data(run, project)
    model, *_ = train_eval.trained(run, project, data)
    model.eval().set_test(run.spec.test)
    calibration = [test_inputs(data, index, run.spec.test) for index in range(CALIBRATION)]
    rows = [{"way": "ours, as trained", "precision": "fp32", **_numbers(model, run, val)}]
    for precision in PRECISIONS:
        fast = optimize(model, precision, calibration=calibration)
        row = {"way": f"ours, optimised, {precision}", "precision": precision}
        rows.append(row | _numbers(fast, run, val))
    size = tuple(calibration[0]["image"].shape[1:])
    row = {"way": "ours, onnxruntime, int8", "precision": "int8"}
    rows.append(row | _numbers(onnx(model, size, calibration), run, val))
    for row in rows:
        row["ratio"] = rows[0]["total"] / row["total"]
    return {"rows": rows, "training_id": run.training_id}


@torch.no_grad()
def _numbers(model, run, val):
    inputs = [test_inputs(val, index, run.spec.test) for index in range(len(val.images))]
    model(inputs[:1])  # compiles
    start = time.perf_counter()
    found = [model([one])[0]["instances"] for one in inputs]
    seconds = (time.perf_counter() - start) / len(inputs)
    return {"AP": coco_numbers(val, found)["AP"], "total": seconds}
