"""One whole run at scale desk, from nothing: scenes, training and evaluation."""

import time
from typing import Any

from p2s.bench.precision import MODEL
from p2s.scratch import scratch
from p2s.study import train_eval
from p2s.study.project import Project
from p2s.study.study import find


def desk_run(project: Project) -> dict[str, Any]:
    """Seconds of each part of a run whose caches are empty, a row each, and of the whole."""
    run, marks = find(project, **MODEL), [time.perf_counter()]
    with scratch() as folder:
        empty = Project(project.root, folder)
        data, val = train_eval.load_data(run, empty)
        marks.append(time.perf_counter())
        model, *_ = train_eval.trained(run, empty, data)
        marks.append(time.perf_counter())
        numbers = train_eval.measured(run, empty, model, val)
        marks.append(time.perf_counter())
    parts = zip(
        ("scenes", "training", "evaluation", "run"), [0, 1, 2, 0], [1, 2, 3, 3], strict=True
    )
    columns = {"detector": run.detector, "runtime": "ours"}
    rows = [
        {"way": name, **columns, "total": marks[end] - marks[begin]} for name, begin, end in parts
    ]
    return {"rows": rows, "AP": numbers["metrics"]["AP"], "training_id": run.training_id}
