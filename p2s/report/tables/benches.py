"""Which measurements of speed count, and where they were made."""

from p2s.report.intervals import DASH
from p2s.study import benches, records

FULL = [800, 1088]  # the picture that speed is measured on
MAIN = "CenterNet2"  # the detector that ways are measured of


def latest(project):
    """The newest record of each kind that counts, by kind, the oldest first.

    Kind "allocator" is "infer" with another memory allocator than the C library's default.
    """
    found, _ = records.survey(project.benches, benches.Bench)
    counting = filter(_counts, found.values())
    return {_kind(one): one for one in sorted(counting, key=lambda one: one.created)}


def origin(bench):
    """Where a record was made and what was asked of it, as text by column."""
    machine, git = bench.machine, bench.git
    return {
        "kind": bench.bench,
        "asked": ", ".join(f"{name} {one}" for name, one in bench.settings.items()),
        "machine": f"{machine.get('cpu', DASH)}, {machine.get('isa', DASH)}",
        "torch": bench.versions.get("torch", DASH),
        "commit": str(git.get("sha") or DASH)[:8] + ("+" if git.get("dirty") else ""),
        "made": bench.created[:10],
    }


def _kind(bench):
    return "allocator" if "allocator" in bench.settings else bench.bench


def _counts(bench):
    """Trials leave records too: on smaller pictures, of some ways only, or of another detector."""
    size, detector = (bench.settings.get(key) for key in ("size", "detector"))
    if "allocator" in bench.settings and bench.bench != "infer":
        return False
    if bench.bench in ("infer", "memory") and detector not in (None, MAIN):
        return False
    return size in (None, FULL) and "ways" not in bench.settings
