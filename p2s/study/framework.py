"""The records of Figures 1 and 2: a scene as a trained detector sees it, and built detectors."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from p2s import files
from p2s.data import glyphs
from p2s.measure.scenes import observed
from p2s.measure.structure import structure_numbers
from p2s.spec import Spec
from p2s.study import records, train_eval, views
from p2s.study.project import Project
from p2s.study.structures import DETECTORS, SIZE, Structure, Structures
from p2s.train import engine

IMAGE = 6  # a validation scene whose objects hardly overlap, so that each can be followed


def keep(project: Project, scale: str) -> Iterator[Path]:
    """Write the Structures, which need no weights, then the View of a scale; their paths."""
    yield records.write(built(project), project.views)
    yield records.write(seen(project, scale), project.views)


def built(project: Project) -> Structures:
    """The Structures of the detectors of Figure 2."""
    measured = {name: structure_numbers(Spec.named(name), SIZE) for name in DETECTORS}
    return Structures(
        size=SIZE,
        structures=tuple(Structure(detector=name, **parts) for name, parts in measured.items()),
        **_made_by(project),
    )


def seen(project: Project, scale: str, index: int = IMAGE) -> views.View:
    """The View of a validation scene by the trained model of a scale, from the cache."""
    made, run = _made_by(project), views.run(project, scale)
    folder = project.weights(run)
    model, spec, _ = engine.load(folder)
    few = run.spec.data.model_copy(update={"train": 1, "val": index + 1})
    _, scenes = glyphs.load(few, project.cache / "data")
    return views.View(
        id=f"{run.training_id}-{index}",
        training_id=run.training_id,
        detector=run.detector,
        scale=scale,
        seed=run.seed,
        data=run.spec.data.model_dump(mode="json"),
        weights=files.file_sha256(folder / files.WEIGHTS),
        seen=views.Observation(**observed(model, scenes, index, run.spec.test)),
        **made,
    )


def _made_by(project):
    made = train_eval.made_by(project)
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return {name: made[name] for name in ("git", "versions", "machine")} | {"created": created}
