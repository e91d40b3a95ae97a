"""Which measurements of speed count, and where they were made."""

from p2s.report.intervals import DASH
from p2s.report.tables.origins import commit
from p2s.study import records
from p2s.study.benches import Bench
from p2s.study.project import Project

FULL = [800, 1088]  # the picture that speed is measured on
MAIN = "CenterNet2"  # the detector that ways are measured of


def latest(project: Project) -> dict[str, Bench]:
    """The newest record of each kind that counts, by kind, the oldest first.

    Kind "allocator" is "infer" with another memory allocator than the C library's default.
    """
    kept, _ = records.survey(project.benches, Bench)
    counting = filter(_counts, kept.values())
    return {_kind(bench): bench for bench in sorted(counting, key=lambda bench: bench.created)}


def origin(bench: Bench) -> dict[str, str]:
    """Where a record was made and what was asked of it, as text by column."""
    machine = bench.machine
    return {
        "kind": bench.bench,
        "asked": ", ".join(f"{name} {value}" for name, value in bench.settings.items()),
        "machine": f"{machine.get('cpu', DASH)}, {machine.get('isa', DASH)}",
        "torch": bench.versions.get("torch", DASH),
        "commit": commit(bench.git),
        "made": bench.created[:10],
    }


def _kind(bench):
    if "device" in bench.settings:  # a GPU's measurements stand beside those of the CPU
        return f"{bench.bench}_gpu"
    return "allocator" if "allocator" in bench.settings else bench.bench


def _counts(bench):
    """Trials leave records too: on smaller pictures, of some ways only, or of another detector."""
    size, detector = (bench.settings.get(key) for key in ("size", "detector"))
    if "allocator" in bench.settings and bench.bench != "infer":
        return False
    if bench.bench in ("infer", "memory") and detector not in (None, MAIN):
        return False
    return size in (None, FULL) and "ways" not in bench.settings
