"""A real Slurm of two nodes, both this machine, in a folder, by the programs that are installed.

It installs nothing.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from getpass import getuser
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory

NODES = ("first", "second")
PROGRAMS = {
    "munge": ("munged", "mungekey"),
    "slurm-wlm": ("slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol"),
}
CONFIGURATION = """
ClusterName=p2s
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
# A job that was queued again starts when its old credentials have expired: usually after 2 minutes.
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
# Signals go to the job's own process, not to its kernel, as they do with cgroups.
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
ReturnToService=2
SlurmdParameters=config_overrides
{nodes}
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
def two_nodes() -> Generator[dict[str, str], None, None]:
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
    idle = ("sinfo", "--noheader", "--format=%D %T")
    with _daemon(("munged", "--foreground", *files, *more), folder, environment):
        _wait(place.exists, folder)
        with ExitStack() as daemons:
            for words in (("slurmctld", "-D"), *(("slurmd", "-D", "-N", name) for name in NODES)):
                daemons.enter_context(_daemon(words, folder, environment))
            _wait(lambda: _told(environment, *idle) == f"{len(NODES)} idle", folder)
            yield


def _configuration(folder):
    for name in ("state", *(f"spool/{node}" for node in NODES)):
        (folder / name).mkdir(parents=True)
    with ExitStack() as taken:
        free = [taken.enter_context(socket.create_server(("", 0))) for _ in ("", *NODES)]
        controller_port, *ports = (each.getsockname()[1] for each in free)
    room = f"CPUs={os.cpu_count()} RealMemory={_memory()} State=UNKNOWN"
    host = socket.gethostname().partition(".")[0]
    where = f"NodeHostname={host} NodeAddr=127.0.0.1"
    pairs = zip(NODES, ports, strict=True)
    return CONFIGURATION.format(
        folder=folder,
        host=host,
        user=getuser(),
        controller_port=controller_port,
        nodes="\n".join(f"NodeName={name} {where} Port={port} {room}" for name, port in pairs),
    )


def _memory():
    """MiB of a node: half of this machine's."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**21


@contextmanager
def _daemon(words, folder, environment):
    with NamedTemporaryFile("w", prefix=words[0], suffix=".out", dir=folder) as log:
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
