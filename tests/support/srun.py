"""A stand-in for srun: the tasks are processes of this machine, each with what is sent to srun.

A task that fails ends the others, and SIGUSR1 is handed on to all.
"""

import os
import signal
import subprocess
import sys
import time


def main(words):
    given = [word for word in words if word.startswith("--")]
    options = dict(word[2:].partition("=")[::2] for word in given)
    count, of_node = int(options["ntasks"]), int(options["ntasks-per-node"])
    assert count == of_node * int(options["nodes"]) and "overlap" in options
    sent, command = sys.stdin.buffer.read(), words[len(given) :]
    tasks = [_task(command, number, number % of_node, count) for number in range(count)]
    signal.signal(signal.SIGUSR1, lambda *told: [task.send_signal(told[0]) for task in tasks])
    for task in tasks:
        task.stdin.write(sent)
        task.stdin.close()
    while None in (ended := [task.poll() for task in tasks]):
        if any(ended):
            for task in tasks:
                task.kill()
        time.sleep(0.05)
    return next((code for code in ended if code), 0)


def _task(command, number, at_node, count):
    told = {"SLURM_PROCID": number, "SLURM_LOCALID": at_node, "SLURM_NTASKS": count}
    environment = os.environ | {name: str(value) for name, value in told.items()}
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
