"""Executors: where the runs of a study are at work, read from experiments/executors.yaml."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from pydantic import NonNegativeInt, PositiveInt

from p2s.files import read_yaml
from p2s.study.experiments import Name, Strict, refuse_unknown
from p2s.study.project import Project


class Local(Strict):
    """Kernels on this machine."""

    jobs: PositiveInt = 1  # at once

    def open(self, project: Project) -> AbstractContextManager[Any]:
        """An executor for `runner.outcomes`, to be used by `with`."""
        from concurrent.futures import ThreadPoolExecutor

        return ThreadPoolExecutor(self.jobs)


class Slurm(Strict):
    """Jobs of a Slurm cluster whose nodes share the project and its cache; a job executes one run.

    The notebook is one process on the first node; `nodes` and `processes` above 1 are allocated
    for what it may start there.
    """

    jobs: PositiveInt = 100  # at once, those that wait in the queue counted
    partition: Name | None = None  # None: the cluster's default
    account: Name | None = None
    minutes: PositiveInt = 240  # of a job
    nodes: PositiveInt = 1  # of a job
    processes: PositiveInt = 1  # of a node
    cores: PositiveInt = 1  # of a process
    gpus: NonNegativeInt = 0  # of a node
    memory: PositiveInt = 8  # of a node, GiB
    tries: PositiveInt = 3  # jobs that a run may lose before it counts as failed

    def open(self, project: Project) -> AbstractContextManager[Any]:
        """An executor for `runner.outcomes`, to be used by `with`; OSError off a cluster."""
        from p2s.study import slurm

        return nullcontext(slurm.cluster(self, project))


class Executors(Strict):
    """The content of experiments/executors.yaml; a part that is left out has its defaults."""

    local: Local = Local()
    slurm: Slurm = Slurm()


def load(project: Project, name: str = "local", jobs: int | None = None) -> Local | Slurm:
    """The executor of a name, with so many jobs at once; None: as many as the file says.

    ValueError names the file and the first slip in it, or the names that are valid.
    """
    path = project.experiments / "executors.yaml"
    refuse_unknown(f"executor in {path}:", [name], Executors.model_fields)
    executor = getattr(read_yaml(path, Executors), name)
    return executor.model_copy(update={"jobs": jobs}) if jobs else executor
