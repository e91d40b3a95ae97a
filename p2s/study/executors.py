"""Executors: where the runs of a study are at work, read from experiments/executors.yaml."""

import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from p2s.files import read_yaml
from p2s.study.experiments import Name, Strict, refuse_unknown
from p2s.study.project import Place, Project


class Local(Strict):
    """Kernels on this machine."""

    jobs: PositiveInt = 1  # at once
    device: str = "cpu"  # of a training: cpu, cuda, cuda:1, or auto
    processes: PositiveInt = 1  # of a training
    save_minutes: PositiveFloat = 1.0  # between two states of a training

    @property
    def place(self) -> Place:
        """Where a training computes."""
        return Place(self.device, self.processes, self.save_minutes)

    def open(self, project: Project) -> AbstractContextManager[Any]:
        """An executor for `runner.outcomes`, to be used by `with`."""
        from concurrent.futures import ThreadPoolExecutor

        if self.device != "cpu":
            from p2s.model.device import require_gpus  # which imports torch

            require_gpus(self.device, self.processes)
        os.environ.update(self.place.variables())  # kernels inherit it
        return ThreadPoolExecutor(self.jobs)


class Slurm(Strict):
    """Jobs of a Slurm cluster whose nodes share the project and its cache; a job executes one run.

    The notebook is one process on the first node, and its training `processes` of them there, on
    `gpus` if there are any; further nodes are allocated and idle.
    """

    jobs: PositiveInt = 100  # at once, those that wait in the queue counted
    partition: Name | None = None  # None: the cluster's default
    account: Name | None = None
    minutes: PositiveInt = 240  # of a job
    nodes: PositiveInt = 1  # of a job
    processes: PositiveInt = 1  # of a training, on the first node
    cores: PositiveInt = 1  # of a process
    gpus: NonNegativeInt = 0  # of a node
    memory: PositiveInt = 8  # of a node, GiB
    tries: PositiveInt = 3  # jobs that a run may lose before it counts as failed
    save_minutes: PositiveFloat = 1.0  # between two states of a training

    @property
    def place(self) -> Place:
        """Where a training computes, on the first node of a job."""
        return Place("cuda" if self.gpus else "cpu", self.processes, self.save_minutes)

    def open(self, project: Project) -> AbstractContextManager[Any]:
        """An executor for `runner.outcomes`, to be used by `with`; OSError off a cluster."""
        from p2s.study import slurm

        return nullcontext(slurm.cluster(self, project))


class Executors(Strict):
    """The content of experiments/executors.yaml; a part that is left out has its defaults."""

    local: Local = Local()
    slurm: Slurm = Slurm()


def load(project: Project, name: str = "local", **changes: Any) -> Local | Slurm:
    """The executor of a name; `changes` are fields that a command sets, None where it does not.

    ValueError names the file and the first slip in it, or the names that are valid.
    """
    path = project.experiments / "executors.yaml"
    refuse_unknown(f"executor in {path}:", [name], Executors.model_fields)
    executor = getattr(read_yaml(path, Executors), name)
    given = {field: value for field, value in changes.items() if value is not None}
    refuse_unknown(f"executor {name}: field", [*given], type(executor).model_fields)
    return executor.model_copy(update=given)
