"""Slurm: jobs by sbatch, their states by squeue, which every cluster has.

submitit itself asks sacct. That needs a cluster with accounting, lags behind it, and never calls a
job finished that was preempted for good.
"""

import os
import shutil
from shlex import quote

from submitit import SlurmExecutor, SlurmJob
from submitit.slurm.slurm import SlurmInfoWatcher

from p2s.study.clusters.cluster import Cluster
from p2s.study.executors import Slurm
from p2s.study.project import PACKAGE, Project

GONE = "GONE"  # Slurm forgets a job some minutes after its end
ENDED = (
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY"),
    *("PREEMPTED", "REVOKED", "TIMEOUT", GONE),
)
NOTICE = 90  # seconds between the signal that a job is soon out of time and its end
ASK = 60  # seconds between two questions to Slurm, at most; 2 after a submission


class Squeue(SlurmInfoWatcher):
    """The states of one's own jobs, all by one command."""

    def _make_command(self):
        asked = ["squeue", "--me", "--states=all", "--noheader", "--format=%i|%T"]
        return asked if self._registered - self._finished else None

    def read_info(self, string: bytes) -> dict[str, dict[str, str]]:
        """The state of each job that has not ended, by id."""
        told = dict(line.split("|") for line in string.decode().split())
        return {job: {"State": told.get(job, GONE)} for job in self._registered - self._finished}

    def is_done(self, job_id: str, mode: str = "standard") -> bool:
        """Whether a job has ended; one that was requeued has not."""
        return self.get_state(job_id, mode=mode) in ENDED


class _Job(SlurmJob):
    watcher = Squeue(delay_s=ASK)


class _Executor(SlurmExecutor):
    job_class = _Job


def cluster(settings: Slurm, project: Project) -> Cluster:
    """An executor for `runner.outcomes` whose jobs are Slurm's; OSError on a machine without it.

    A job has this interpreter, this package and this cache, whatever the cluster hands on.
    """
    if missing := [name for name in ("sbatch", "squeue", "scancel") if not shutil.which(name)]:
        raise OSError(f"executor slurm: no {missing[0]} here; start it on a machine of the cluster")
    executor = _Executor(project.cache / "slurm" / "%j")
    executor.update_parameters(**_parameters(settings, project))
    return Cluster(executor, settings.jobs, settings.tries)


def _parameters(settings, project):
    """Those of submitit; its nodes and tasks stay 1, for one task of a job executes the run."""
    allocated = {"nodes": settings.nodes, "ntasks-per-node": settings.processes}
    cores = settings.cores * settings.processes  # srun does not take them over from sbatch
    given = {
        "job_name": "p2s",
        "partition": settings.partition,
        "account": settings.account,
        "time": settings.minutes,
        "signal_delay_s": min(NOTICE, 15 * settings.minutes),
        "cpus_per_task": settings.cores,
        "gpus_per_node": settings.gpus or None,
        "mem": f"{settings.memory}G",
        "setup": _environment(project, settings.place),
        "srun_args": ["--nodes=1", "--ntasks=1", f"--cpus-per-task={cores}"],
        # A job whose node fails, or that has to make room, is queued again by Slurm itself.
        "additional_parameters": {**allocated, "requeue": True, "chdir": str(project.root)},
    }
    return {name: value for name, value in given.items() if value is not None}


def _environment(project, place):
    paths = [str(PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    values = {"PYTHONPATH": os.pathsep.join(paths), "P2S_CACHE": str(project.cache)}
    values |= place.variables()
    return [f"export {name}={quote(value)}" for name, value in values.items()]
