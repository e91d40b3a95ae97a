"""Nodes: work of ranks that are tasks of a Slurm job, so many on each of its nodes.

The first node's process asks srun for them, and sends them the work. Slurm ends all with the job.
"""

import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Callable

from p2s import environment
from p2s.train import processes, stops

STOP = signal.SIGUSR1  # srun hands it on to the tasks; told to end, it would kill them
STOPPED, WRONG = 130, "error: "


def together(work: Callable[[], None], nodes: int, count: int) -> None:
    """Let `count` ranks on each of so many nodes do the same work, which can be pickled.

    This process is in the job, on its first node. Raises what `processes.together` does.
    """
    asked = []
    with subprocess.Popen(
        _srun(nodes, count),
        env=os.environ | _meeting(count),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as step:

        def pass_on(number, _frame):
            asked.append(number)
            step.send_signal(STOP)

        try:
            with stops.answered(pass_on):
                told = step.communicate(pickle.dumps(work))[1].decode(errors="replace")
        except BaseException:
            step.kill()  # whatever it was: do not wait for ranks that nobody hears
            raise
    if asked or step.returncode == STOPPED:
        raise KeyboardInterrupt
    if step.returncode:
        raise ValueError(_reason(told))


def _srun(nodes, count):
    """The command; a job's own step has all cores of its node, which the ranks share with it."""
    cores = max(1, (environment.Allocation.read().cores or count) // count)
    tasks = (f"--nodes={nodes}", f"--ntasks={nodes * count}", f"--ntasks-per-node={count}")
    room = ("--overlap", f"--cpus-per-task={cores}", "--cpu-bind=none", "--export=ALL")
    ending = ("--kill-on-bad-exit=1", "--distribution=block", "--quiet")
    return ["srun", *tasks, *room, *ending, sys.executable, "-m", __name__]


def _meeting(count):
    """Where ranks find the first one, by torch's names."""
    with socket.create_server(("", 0)) as free:
        port = free.getsockname()[1]
    address = {"MASTER_ADDR": socket.gethostname(), "MASTER_PORT": str(port)}
    return address | {"LOCAL_WORLD_SIZE": str(count)}


def _reason(told):
    """What the rank that failed first said, or the last that srun did."""
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    own = [line.removeprefix(WRONG) for line in lines if line.startswith(WRONG)]
    return (own or lines[-1:] or ["srun ended without a word"])[0]


def _by_torchs_names(task):
    numbers = {"RANK": task.number, "LOCAL_RANK": task.of_node, "WORLD_SIZE": task.count}
    return {name: str(number) for name, number in numbers.items()}


def _rank():
    """Do the work that comes in as one of the ranks."""
    stopped = []

    def stop(number, _frame):
        if not stopped:  # told by Slurm and by srun: a second time would not let it be saved
            stopped.append(number)
            os.kill(os.getpid(), signal.SIGTERM)

    for number in (STOP, signal.SIGUSR2):
        signal.signal(number, stop)
    try:
        os.environ.update(_by_torchs_names(environment.Task.read()))
        processes.as_rank(pickle.load(sys.stdin.buffer))
    except KeyboardInterrupt:
        sys.exit(STOPPED)
    except ValueError as error:
        sys.exit(f"{WRONG}{error}")


if __name__ == "__main__":
    _rank()
