"""The runner: a run is one notebook executed by papermill, with a kernel process of its own.

Kernels end when the process that started them does, so after kill -9 none is left; all else that
must survive is in files: records, executed notebooks, weights, and a line for each failure.
"""

import logging
import os
import time
from collections import defaultdict
from collections.abc import Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout
from traitlets.config import Config

from p2s.files import write_atomic
from p2s.scratch import scratch
from p2s.study import records
from p2s.study.project import Project
from p2s.study.runs import Run, Standing, given

# The number of threads changes bits, so every kernel has one; jobs only run beside each other.
ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS")}
KERNEL = {  # how papermill starts a kernel
    "kernel_name": "python3",
    "progress_bar": False,
    # Seconds, by a clock that may jump; a kernel that dies is noticed anyway.
    "start_timeout": 10**9,
    "iopub_timeout": 600,  # for what a cell has shown to come: on a busy machine 4 are too few
    "extra_arguments": [
        "--IPKernelApp.log_level=50",  # errors are told once, by the caller
        "--matplotlib=inline",  # pictures of pyplot are kept, whatever $MPLBACKEND says
    ],
}
GRACE = 10.0  # seconds for a training to save its state when the study is interrupted
LOOK = 1.0  # seconds between two looks at the locks of runs at work elsewhere


def outcomes(
    project: Project, waiting: Iterable[Run], template: Path, executor: Any
) -> Generator[Standing, None, None]:
    """Run all of `waiting` and yield a Standing as each one ends.

    `executor` has the `submit` of concurrent.futures; what that returns has `done`, `result` and
    `cancel`. The evaluations of one training follow its first one, so that none trains it twice,
    and those of a training that starts from another follow that.
    """
    work, held = _Work(project, template, executor), _of_trainings(waiting)
    later = {name: [] for name in held}  # the trainings that start from one
    for name, runs in held.items():
        later.get(runs[0].starts_from, []).append(name)
    try:
        for name in [name for name, runs in held.items() if runs[0].starts_from not in held]:
            work.begin(held[name])
        for ended in work.ended():
            yield ended
            siblings = held.pop(ended.run.training_id, [])
            following = later.pop(ended.run.training_id, [])
            if ended.state == "done" or project.is_trained(ended.run):
                work.submit(siblings)
                for name in following:
                    work.begin(held[name])
            else:
                note = f"not started, for the training is {ended.state}"
                dropped = [*siblings, *_taken(held, later, following)]
                yield from (Standing(run, "missing", note) for run in dropped)
    finally:
        work.stop()


def _of_trainings(runs):
    held = defaultdict(list)
    for run in runs:
        held[run.training_id].append(run)
    return held


def _taken(held, later, names):
    """The runs of these trainings, and of all that start from them, taken out of both."""
    for name in names:
        yield from held.pop(name)
        yield from _taken(held, later, later.pop(name, []))


def is_at_work(project: Project, run: Run) -> bool:
    """Whether a process, on any machine that shares the cache, is executing a run."""
    path = project.lock(run)
    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True


def execute(project: Project, run: Run, template: Path) -> Standing:
    """Execute one run's notebook and return its Standing; no exception leaves this function."""
    os.environ.update(ONE_THREAD)  # the kernel inherits it
    try:
        project.lock(run).parent.mkdir(parents=True, exist_ok=True)
        # `status` holds the lock for a moment when it looks; another study holds it for long.
        with FileLock(project.lock(run), timeout=2):
            return _execute(project, run, template)
    except Timeout:
        return Standing(run, "running", "by another process")
    except OSError as error:  # of the cache: a full disk, for one
        return _failed(project, run, _one_line(type(error).__name__, error))


def run_notebook(
    project: Project,
    notebook: Path,
    executed: Path,
    values: dict[str, Any] | None = None,
    timeout: int | None = None,
) -> str:
    """Execute a notebook in the project's root into a copy; returns the error in a line, or "".

    `timeout` is how many seconds a cell may take, without end if None.
    """
    from papermill import PapermillExecutionError, execute_notebook

    logging.getLogger("papermill").setLevel(logging.CRITICAL)  # errors are told by the caller
    executed.parent.mkdir(parents=True, exist_ok=True)
    # papermill's own `cwd` would move this process, and with it the runs beside this one.
    how = {"resources": {"metadata": {"path": str(project.root)}}, "execution_timeout": timeout}
    try:
        with scratch() as folder:
            sockets = _sockets(folder)
            execute_notebook(notebook, executed, values, config=sockets, **how, **KERNEL)
    except PapermillExecutionError as error:
        return _one_line(f"cell {error.exec_count}: {error.ename}", error.evalue)
    except Exception as error:  # such as a kernel that died: this notebook's failure alone
        return _one_line(type(error).__name__, error)
    return ""


def kernels() -> list[psutil.Process]:
    """The kernels that this process has at work."""
    found = []
    for child in psutil.Process().children():
        try:
            if "ipykernel_launcher" in child.cmdline():
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


@dataclass
class _Work:
    """What an executor has at work, and what other processes have."""

    project: Project
    template: Path
    executor: Any
    at_work: dict[Any, Run] = field(default_factory=dict)  # by what `submit` returned
    elsewhere: list[Run] = field(default_factory=list)  # no executor spends a place on waiting
    looked: float = 0.0

    def begin(self, training):
        """Submit the first run of a training, or all of one that is trained."""
        count = len(training) if self.project.is_trained(training[0]) else 1
        self.submit([training.pop(0) for _ in range(count)])

    def submit(self, runs):
        for run in runs:
            if is_at_work(self.project, run):
                self.elsewhere.append(run)
            else:
                self.at_work[self.executor.submit(execute, self.project, run, self.template)] = run

    def ended(self):
        """A Standing as each run ends, until none is at work."""
        while self.at_work or self.elsewhere:
            for future in [future for future in self.at_work if future.done()]:
                ended = _result(self.project, future, self.at_work.pop(future))
                if ended.state == "running":
                    self.elsewhere.append(ended.run)
                else:
                    yield ended
            yield from self._ended_elsewhere()
            time.sleep(0.05)

    def _ended_elsewhere(self):
        """The Standings of runs that have a record by now; those without one are submitted."""
        if not self.elsewhere or time.monotonic() < self.looked + LOOK:
            return
        self.looked, waiting, self.elsewhere = time.monotonic(), self.elsewhere, []
        for run in waiting:
            if _record(self.project, run)[0]:
                yield Standing(run, "done", "by another process")
            else:
                self.submit([run])

    def stop(self):
        """After Ctrl-C: end what is at work; it counts as never started, its training as begun."""
        for future in self.at_work:
            future.cancel()
        deadline = time.monotonic() + GRACE
        for kernel in kernels() if self.at_work else []:
            kernel.terminate()  # a training saves its state first
        while not all(future.done() for future in self.at_work):
            if time.monotonic() > deadline:
                for kernel in kernels():
                    kernel.kill()
            time.sleep(0.05)
        for run in self.at_work.values():
            self.project.failure(run).unlink(missing_ok=True)


def _execute(project, run, template):
    start = time.monotonic()
    if _record(project, run)[0]:
        return Standing(run, "done", "by another process")
    project.failure(run).unlink(missing_ok=True)
    error = run_notebook(project, template, project.executed(run), given(project, run))
    record, problem = (None, error) if error else _record(project, run)
    if problem:
        return _failed(project, run, f"{problem} ({project.executed(run)})")
    ap = record.metrics.get("AP")
    shown = "-" if ap is None else f"{ap:.1f}"
    return Standing(run, "done", f"AP {shown}, {time.monotonic() - start:.0f} s")


def _record(project, run):
    """The record of a run, or None, and what is wrong with it."""
    path = project.record(run)
    if not path.exists():
        return None, "the notebook ended without a record"
    try:
        record = records.read(path)
    except ValueError as problem:
        return None, str(problem)
    problem = records.misfit(records.asked(record), run)
    return None if problem else record, problem


def _sockets(folder):
    """A kernel listens on files here: a TCP port chosen for it can be taken before it binds it."""
    files = {"transport": "ipc", "connection_file": str(folder / "kernel.json")}
    return Config(KernelManager=files)


def _one_line(name, message):
    return f"{name}: {' '.join(str(message).split())[:300]}"


def _result(project, future, run):
    try:
        return future.result()
    except Exception as error:  # the executor's own, such as jobs that a cluster keeps losing
        return _failed(project, run, _one_line(type(error).__name__, error))


def _failed(project, run, note):
    """The Standing of a failure, which is remembered where there is a place for it."""
    with suppress(OSError):
        write_atomic(project.failure(run), note.encode())
    return Standing(run, "failed", note)
