"""Executors: where the runs of a study are at work, read from experiments/executors.yaml."""

import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import click
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from p2s.plain_yaml import read_yaml
from p2s.study.experiments import Name, Strict, load_scales, refuse_unknown
from p2s.study.project import Device, Place, Precision, Project

NAMES = ("local", "slurm")


class _Trains(Strict):
    """What every executor says of a training."""

    precision: Precision = "fp32"  # of its convolutions
    processes: PositiveInt = 1  # each on a GPU of its own, if on GPUs at all
    workers: NonNegativeInt = 0  # threads of a process that make batches ahead
    save_minutes: PositiveFloat = 1.0  # between two states of it


class Local(_Trains):
    """Kernels on this machine."""

    jobs: PositiveInt = 1  # at once
    device: Device = "cpu"  # of a training: cpu, cuda, cuda:1, or auto

    @property
    def place(self) -> Place:
        """Where a training computes."""
        return Place(**self.model_dump(include=set(Place._fields)))

    def open(self, project: Project) -> AbstractContextManager[Any]:
        """An executor for `runner.outcomes`, to be used by `with`; ValueError without the device.

        A job of one process takes the GPU that the fewest have, see p2s.model.device.claim_gpu.
        """
        from concurrent.futures import ThreadPoolExecutor

        if (self.device, self.precision) != ("cpu", "fp32"):
            from p2s.model.device import described, device_of, require  # which import torch

            require(self.device, self.precision, self.processes)
            click.echo(f"trainings on {described(device_of(self.device))}")
        os.environ.update(self.place.variables())  # kernels inherit it
        return ThreadPoolExecutor(self.jobs)


class Slurm(_Trains):
    """Jobs of a Slurm cluster whose nodes share the project and its cache; a job executes one run.

    The notebook is one process on the first node, and its training `processes` of them on every
    node, on its `gpus` if there are any.
    """

    jobs: PositiveInt = 100  # at once, those that wait in the queue counted
    partition: Name | None = None  # None: the cluster's default
    account: Name | None = None
    minutes: PositiveInt = 240  # of a job
    nodes: PositiveInt = 1  # of a job, all of which a training is on
    cores: PositiveInt = 1  # of a process
    gpus: NonNegativeInt = 0  # of a node
    memory: PositiveInt = 8  # of a node, GiB
    tries: PositiveInt = 3  # jobs that a run may lose before it counts as failed

    @property
    def place(self) -> Place:
        """Where a training computes."""
        told = self.model_dump(include=set(Place._fields))
        return Place(device="cuda" if self.gpus else "cpu", **told)

    def open(self, project: Project) -> AbstractContextManager[Any]:
        """An executor for `runner.outcomes`, to be used by `with`; OSError off a cluster."""
        from p2s.study.clusters import slurm

        return nullcontext(slurm.cluster(self, project))


class Both(Strict):
    """An executor of each name; what is left out has its defaults."""

    local: Local = Local()
    slurm: Slurm = Slurm()


class Executors(Both):
    """The content of experiments/executors.yaml."""

    at: dict[Name, Both] = {}  # by scale, the fields that differ there


def load(project: Project, name: str, scale: str, **changes: Any) -> Local | Slurm:
    """The executor of a name at a scale; `changes` are fields that a command sets, None if not.

    ValueError names the file and the first slip in it, or the names that are valid.
    """
    path = project.experiments / "executors.yaml"
    refuse_unknown(f"executor in {path}:", [name], NAMES)
    read = read_yaml(path, Executors)
    if read.at:
        refuse_unknown(f"scale in {path}: at:", read.at, load_scales(project))
    executor = getattr(read, name)
    own = getattr(read.at.get(scale, Both()), name).model_dump(exclude_unset=True)
    given = {field: value for field, value in changes.items() if value is not None}
    if foreign := [f"--{field}" for field in given if field not in type(executor).model_fields]:
        raise ValueError(f"executor {name} has no {foreign[0]}: {path} says where it computes")
    return type(executor)(**executor.model_dump() | own | given)
