"""A real Slurm of one node in a folder, by the programs that are installed; it installs nothing."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from getpass import getuser
from pathlib import Path
from tempfile import TemporaryDirectory

PROGRAMS = {
    "munge": ("munged", "mungekey"),
    "slurm-wlm": ("slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol"),
}
CONFIGURATION = """
ClusterName=p2s
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
# A job that was queued again starts when its old credentials have expired: usually after 2 minutes.
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
# Signals go to the job's own process, not to its kernel, as they do with cgroups.
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> list[str]:
    """The Debian packages whose programs are not there."""
    return [
        package
        for package, programs in PROGRAMS.items()
        if not all(shutil.which(program, path=_path()) for program in programs)
    ]


@contextmanager
def one_node() -> Generator[dict[str, str], None, None]:
    """The environment in which Slurm's commands find one that runs meanwhile; all is removed."""
    with TemporaryDirectory(prefix="p2s-slurm-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # munged wants its socket where everybody can enter, unlike pytest's
        environment = os.environ | {"PATH": _path(), "SLURM_CONF": str(folder / "slurm.conf")}
        with _daemons(folder, environment):
            try:
                yield environment
            finally:
                _told(environment, "scancel", f"--user={getuser()}")
                _wait(lambda: not _told(environment, "squeue", "--noheader"), folder)


@contextmanager
def _daemons(folder, environment):
    (folder / "slurm.conf").write_text(_configuration(folder))
    key, place = folder / "munge.key", folder / "munge.socket"
    subprocess.run(["mungekey", "--create", f"--keyfile={key}"], env=environment, check=True)
    files = (f"--key-file={key}", f"--socket={place}", f"--seed-file={folder / 'seed'}")
    more = (f"--pid-file={folder / 'munged.pid'}", f"--log-file={folder / 'munged.log'}")
    nodes = ("sinfo", "--noheader", "--format=%T")
    with _daemon(("munged", "--foreground", *files, *more), folder, environment):
        _wait(place.exists, folder)
        slurmctld = _daemon(("slurmctld", "-D"), folder, environment)
        with slurmctld, _daemon(("slurmd", "-D"), folder, environment):
            _wait(lambda: _told(environment, *nodes) == "idle", folder)
            yield


def _configuration(folder):
    for name in ("state", "spool"):
        (folder / name).mkdir()
    with socket.create_server(("", 0)) as one, socket.create_server(("", 0)) as other:
        controller_port, node_port = (each.getsockname()[1] for each in (one, other))
    return CONFIGURATION.format(
        folder=folder,
        host=socket.gethostname().partition(".")[0],
        user=getuser(),
        controller_port=controller_port,
        node_port=node_port,
        cpus=os.cpu_count(),
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
    )


@contextmanager
def _daemon(words, folder, environment):
    with (folder / f"{words[0]}.out").open("w") as log:
        daemon = subprocess.Popen(words, env=environment, stdout=log, stderr=log)
        try:
            yield daemon
        finally:
            daemon.terminate()
            daemon.wait(30)


def _wait(condition, folder, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            logs = [path.read_text().splitlines()[-5:] for path in sorted(folder.glob("*.out"))]
            raise RuntimeError("\n".join(line for lines in logs for line in lines))
        time.sleep(0.2)


def _told(environment, *words):
    done = subprocess.run(words, env=environment, capture_output=True, text=True)
    return done.stdout.strip()


def _path():
    return os.pathsep.join((os.environ["PATH"], "/usr/sbin", "/sbin"))  # where daemons are
