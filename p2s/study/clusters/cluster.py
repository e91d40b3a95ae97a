"""A cluster: jobs through submitit, and what is done about those that it loses.

A job that ends without a result was lost: its node failed, or it was cancelled, preempted or out of
time. Its run is submitted again, and the training goes on from its last state.
"""

import io
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from submitit import Executor, Job
from submitit.core.utils import FailedJobError, FailedSubmissionError
from tqdm import tqdm

from p2s.study.project import Project
from p2s.study.runner import kernels
from p2s.study.runs import Run, Standing

LOOK = 2.0  # seconds between two looks at a job: each reads a folder that many machines share
SETTLE = 15.0  # seconds until a result that a node has written is seen everywhere
PAUSE = 60.0  # seconds until a cluster that has refused a job is offered one again
STOPS = (signal.SIGTERM, signal.SIGUSR2)  # cancelled or preempted; soon out of time


@dataclass(eq=False)
class Cluster:
    """An executor for `runner.outcomes` on one of submitit's.

    At most `jobs` are in the cluster at once; a run may lose `tries` of them.
    """

    executor: Executor
    jobs: int
    tries: int
    at_work: set["Task"] = field(default_factory=set)
    lost: Counter[str] = field(default_factory=Counter)  # jobs by evaluation id
    known: bool = False  # that it takes our jobs
    paused_until: float = 0.0

    def submit(self, function: Callable, project: Project, run: Run, template: Path) -> "Task":
        """The task of executing a run; it becomes a job as soon as there is a place for one."""
        return Task(self, function, project, run, template)

    def job(self, *call: Any) -> Job | None:
        """A new job, or None without a place for it; OSError if the very first one is refused."""
        if len(self.at_work) >= self.jobs or time.monotonic() < self.paused_until:
            return None
        try:
            with redirect_stderr(io.StringIO()):  # submitit prints what it raises
                job = self.executor.submit(in_job, *call)
        except (FailedJobError, FailedSubmissionError) as error:
            told = f"the cluster refuses a job: {' '.join(str(error).split())}"
            if not self.known:
                raise OSError(f"{told}; see experiments/executors.yaml") from None
            tqdm.write(f"{told}; offered again in {PAUSE:.0f} s")
            self.paused_until = time.monotonic() + PAUSE
            return None
        self.known = True
        return job


@dataclass(eq=False)
class Task:
    """A run at work on a cluster: a future whose job is replaced by another when it is lost."""

    cluster: Cluster
    function: Callable
    project: Project
    run: Run
    template: Path
    job: Job | None = None
    over: bool = False
    looked: float = field(default=-LOOK)
    missed: float | None = None  # when the job was first seen to have ended without a result

    def done(self) -> bool:
        """Whether there is a result, or none to be expected; on the way jobs are submitted."""
        now = time.monotonic()
        if not self.over and now >= self.looked + LOOK:
            self.looked = now
            if self.job is None:
                self._start()
            elif self.job.done():
                self._end(now)
        return self.over

    def result(self) -> Standing:
        """The run's Standing; RuntimeError says how its last job ended, and where the log is."""
        try:
            if self.job.paths.result_pickle.exists():
                return self.job.result()
        except FailedJobError:  # its text is a whole traceback, which the log ends with
            pass
        raise RuntimeError(
            f"{self._fate()}; jobs lost: {self.cluster.lost[self.run.evaluation_id]}"
        )

    def cancel(self) -> None:
        """End the job, if there is one; what it was at counts as never started."""
        if self.job is not None and not self.over:
            self.job.cancel(check=False)
        self._leave()

    def _start(self):
        self.missed = None
        self.job = self.cluster.job(self.function, self.project, self.run, self.template)
        if self.job is not None:
            self.cluster.at_work.add(self)

    def _end(self, now):
        if self.job.paths.result_pickle.exists():
            self._leave()
        elif self.missed is None:
            self.missed = now
        elif now >= self.missed + SETTLE:
            self._lose()

    def _lose(self):
        lost = self.cluster.lost
        lost[self.run.evaluation_id] += 1
        self._leave()
        if lost[self.run.evaluation_id] < self.cluster.tries:
            tqdm.write(f"again   {self.run.label}: {self._fate()}")
            self.job, self.over = None, False

    def _leave(self):
        self.over = True
        self.cluster.at_work.discard(self)

    def _fate(self):
        """What became of the job, with the last error of its log; an exit code tells nothing."""
        lines = (self.job.stderr() or "").splitlines()
        errors = [line for line in lines if "rror" in line and "Exited with exit code" not in line]
        last = errors[-1] if errors else "no error in its log"
        return f"job {self.job.job_id} ended {self.job.state}: {last} ({self.job.paths.stderr})"


def in_job(function: Callable, project: Project, run: Run, template: Path) -> Standing:
    """What a job does: `function`, and when it is told to stop, an end without a result.

    Kernels are told to stop as well, so that a training saves its state. Slurm may have told them
    too; then the training stops at once and goes on from the state of the last minute.
    """
    told = []

    def stop(number, _frame):
        told.append(number)
        for kernel in kernels():
            kernel.terminate()

    for number in STOPS:
        signal.signal(number, stop)
    standing = function(project, run, template)
    if told and standing.state != "done":
        project.failure(run).unlink(missing_ok=True)
        sys.exit(f"error: stopped by {signal.Signals(told[0]).name}")
    return standing
