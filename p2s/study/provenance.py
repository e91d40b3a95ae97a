"""Where a number was made: the commit, the code, the packages and the machine."""

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Collection
from functools import cache
from importlib import metadata
from pathlib import Path

from pydantic import BaseModel

from p2s.files import read_json
from p2s.study.project import PACKAGE

PACKAGES = (
    *("torch", "torchvision", "timm", "sal-detectron2", "detectron2"),
    *("hotcoco", "numpy", "pillow"),
)


class _Cell(BaseModel):
    cell_type: str
    source: str | list[str]


class _Notebook(BaseModel):
    cells: list[_Cell]


def git_state(root: Path | str) -> dict[str, str | bool | None]:
    """The commit at `root` and whether the code that makes numbers differs; None outside git."""
    top = _git(root, "rev-parse", "--show-toplevel")
    if not top or Path(top).resolve() != Path(root).resolve():
        return {"sha": None, "dirty": None}
    changes = _git(
        root, "status", "--porcelain", "--", "p2s", "notebooks", "experiments", "pyproject.toml"
    )
    return {"sha": _git(root, "rev-parse", "--verify", "--quiet", "HEAD"), "dirty": bool(changes)}


def committed(paths: Collection[Path | str]) -> set[Path | str]:
    """Those of `paths` that git tracks at HEAD and that are as committed."""
    kept = set()
    for folder in {Path(path).parent for path in paths}:
        tracked = (_git(folder, "ls-tree", "--name-only", "HEAD", ".") or "").splitlines()
        changed = (
            _git(folder, "diff", "--name-only", "--relative", "HEAD", "--", ".") or ""
        ).splitlines()
        names = set(tracked) - set(changed)
        kept |= {path for path in paths if Path(path).parent == folder and Path(path).name in names}
    return kept


def _git(folder, *words):
    try:
        done = subprocess.run(
            ["git", "-C", folder, *words], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


@cache
def source_hash(notebook: Path | str) -> str:
    """SHA-256 of the package's modules and a notebook's code cells; prose doesn't count.

    ValueError names a notebook that is damaged.
    """
    code = {str(path.relative_to(PACKAGE)): path.read_text() for path in PACKAGE.rglob("*.py")}
    cells = read_json(notebook, _Notebook).cells
    code["notebook"] = ["".join(cell.source) for cell in cells if cell.cell_type == "code"]
    return hashlib.sha256(json.dumps(code, sort_keys=True).encode()).hexdigest()


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that numbers depend on, as installed."""
    installed = {dist.name.lower(): dist.version for dist in metadata.distributions() if dist.name}
    return {"python": platform.python_version()} | {
        name: installed[name] for name in PACKAGES if name in installed
    }


def machine() -> dict[str, str | int | None]:
    """The processor, its cores, and the threads and instruction set that torch uses here."""
    import torch  # only a run needs it: plan and status stay quick

    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), None
    )
    return {
        "cpu": model or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "isa": torch.backends.cpu.get_cpu_capability(),
    }


def most_memory() -> int | None:
    """The most memory that this process has held, in MB; None where the system does not tell."""
    try:
        status = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    told = [line.split()[1] for line in status if line.startswith("VmHWM")]
    return round(int(told[0]) / 1000) if told else None


def allocator() -> dict[str, str]:
    """The settings of the C library's memory allocator in this process's environment, sorted."""
    words = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD", "THP_MEM_ALLOC_ENABLE")
    return {name: os.environ[name] for name in sorted(os.environ) if name.startswith(words)}
