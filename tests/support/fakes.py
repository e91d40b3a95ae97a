"""A project folder with the real experiment files and invented records, for tests of the report."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml

from p2s.report import results as of_records
from p2s.report.results import OF_GROUPS
from p2s.study import records
from p2s.study.project import Project
from p2s.study.study import Study
from tests.support import ROOT

VARIANTS = ("scores above .05", "all scores", "scores above .05 with double fragments")
BASE = {"CascadeRCNN-RPN (P3-P7)": 38.0}  # other detectors: 40, and a gain of 1.2
GAIN = {"CascadeRCNN-RPN (P3-P7)": -0.5}


def project(folder):
    """This project with fewer variants, in a folder, and without any record."""
    for name in ("experiments", "notebooks"):
        shutil.copytree(ROOT / name, Path(folder) / name)
    table5 = Path(folder) / "experiments" / "table5.yaml"
    kept = yaml.safe_load(table5.read_text())
    kept["variants"] = [one for one in kept["variants"] if one["name"] in VARIANTS]
    table5.write_text(yaml.safe_dump(kept, sort_keys=False))
    made = Project(Path(folder), Path(folder) / ".p2s")
    share_fingerprints(made)
    return made


def share_fingerprints(project):
    """Let a project have those of scenes that this one has: to know them, scenes are drawn."""
    known = Project.at(ROOT).cache / "fingerprints"
    known.mkdir(parents=True, exist_ok=True)
    project.cache.mkdir()
    (project.cache / "fingerprints").symlink_to(known)


def fill(project, scale="desk", leave_out=()):
    """Write a record for every run of Tables 5 and 9 but of the variants of Table 5 left out.

    The record of Figure 2 is the committed one.
    """
    copy_structures(project)
    for run in Study.load(project, scale).runs(["table5", "table9"]):
        if run.experiment == "table9" or run.variant not in leave_out:
            records.write(record(run), project.records(scale))


def copy_structures(project):
    """Copy the committed record of Figure 2."""
    project.views.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "results" / "framework" / "structures.json", project.views)


def results(project, name, scale="desk"):
    """The Results of an experiment, from the files as they are now."""
    return of_records.results(Study.load(project, scale), name)


def empty(name, scale):
    """The Results of an experiment of this project as if nothing had run yet."""
    return of_records.results(Study.load(Project.at(ROOT), scale), name, lambda _: False)


def holding(results, made):
    """The same Results of other records: of runs, those that have one."""
    found = {record.id: record for record in made}
    runs = tuple(run for run in results.runs if run.evaluation_id in found)
    return replace(results, runs=runs, records=found)


def with_lines(results, change):
    """The same Results with another frame: what `change` makes of a copy of it."""
    return replace(results, frame=change(results.frame.copy()))


def record(run):
    """An invented record: AP depends on detector and fusion, noise on the seed alone."""
    rng = np.random.default_rng([run.seed, len(run.detector)])
    share = {"class": 0, "product": 1, "released": 0.5}[run.spec.test.fusion]
    wobble = 0.1 * np.sin(run.seed + 3 * share) + 0.6 * rng.standard_normal()
    hard = 3.0 * run.spec.data.fragments
    ap = BASE.get(run.detector, 40.0) - hard + share * GAIN.get(run.detector, 1.2) + wobble
    numbers = {"AP": ap, "AP50": ap + 20, "AP75": ap + 1, "APs": None, "APm": ap, "APl": ap + 5}
    numbers |= _groups(ap) if run.spec.data.federated else {}
    return run.record(
        metrics=numbers | {"proposal_AR100": 60.0, "proposal_AR256": 70.0},
        timings={"train_s": 900.0, "evaluate_s": 60.0},
        curve=_curve(rng, run.spec.recipe.iterations),
        scenes=[_scene(rng, image, run.spec.data.size) for image in range(4)],
        machine={"cpu": "a processor", "cores": 2, "threads": 1, "isa": "AVX2"},
        versions={"torch": "2.14.1"},
        weights=f"weights of {run.training_id}",
        git={"sha": "0123456789abcdef", "dirty": False},
    )


def _groups(ap):
    """Numbers of a large vocabulary, the rare classes the worst."""
    less = dict(zip(OF_GROUPS, (0, 9, 4, -3), strict=True))
    return {f"{n}{by}": ap - k for n, k in less.items() for by in ("", "_fixed", "_full")}


def _curve(rng, iterations):
    at = np.linspace(0, iterations - 1, 40).astype(int)
    decay = np.exp(-3 * at / iterations) + 0.1
    losses = {
        n: (decay + 0.05 * rng.random(40)).round(4).tolist() for n in ("loss_cls", "loss_box")
    }
    return {"iteration": at.tolist(), **losses}


def _scene(rng, image, side):
    corner = rng.uniform(0, 0.7 * side, (30, 2))
    boxes = np.hstack([corner, corner + rng.uniform(10, 0.3 * side, (30, 2))]).round(1)
    prob = np.sort(rng.random(30))[::-1].round(3)[:, None]
    proposals = np.hstack([boxes, prob])
    scores = np.hstack([boxes, prob**2, rng.integers(0, 10, (30, 1)), prob, prob])[:8]
    return {"image_id": image, "proposals": proposals.tolist(), "detections": scores.tolist()}
