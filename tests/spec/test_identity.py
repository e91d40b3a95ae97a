"""Identities of all committed records, recomputed: what they are must never change unnoticed."""

import json

import pytest

from p2s.spec import Spec
from p2s.spec.identity import NUMERICS_VERSION, evaluation_id, training_id
from p2s.study import records
from p2s.study.benches import Bench, bench_id
from p2s.study.project import Project
from p2s.study.structures import Structures
from p2s.study.views import View
from tests.support import ROOT

PROJECT = Project.at(ROOT)
SCALES = ["desk", "photographs"]  # git has their records; those of others may lie beside them


@pytest.mark.parametrize("scale", SCALES)
def test_every_committed_record_keeps_its_identity(scale):
    paths = sorted(PROJECT.records(scale).glob("*.json"))
    assert paths
    for path in paths:
        record = json.loads(path.read_bytes())
        spec = Spec.model_validate(record["spec"])
        training = training_id(spec, record["train_fingerprint"], record["seed"])
        assert record["numerics_version"] == NUMERICS_VERSION
        assert record["training_id"] == training, path
        wanted = evaluation_id(
            training, spec, record["val_fingerprint"], record.get("findings", {})
        )
        assert record["id"] == path.stem == wanted, path


@pytest.mark.parametrize("scale", SCALES)
def test_every_committed_record_is_whole(scale):
    whole, problems = records.survey(PROJECT.records(scale))
    assert problems == {} and len(whole) > 0


def test_every_measurement_of_speed_is_whole_and_keeps_its_identity():
    benches, problems = records.survey(PROJECT.benches, Bench)
    assert problems == {} and len(benches) > 0
    for name, bench in benches.items():
        assert name == bench_id(bench.bench, bench.settings, bench.created)


def test_what_figures_1_and_2_show_is_whole_and_of_a_training_with_a_record():
    views, structures = (records.survey(PROJECT.views, kind)[0] for kind in (View, Structures))
    assert views and structures
    assert {*views, *structures} == {path.stem for path in PROJECT.views.glob("*.json")}
    weights = {}
    for record in (
        json.loads(path.read_bytes()) for path in (ROOT / "results" / "runs").glob("*/*.json")
    ):
        weights.setdefault(record["training_id"], record["weights"])
    for name, view in views.items():
        assert name.startswith(f"{view.training_id}-") and view.weights == weights[view.training_id]
