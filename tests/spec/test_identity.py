"""Identities of all committed records, recomputed: what they are must never change unnoticed."""

import json

import pytest

from p2s.spec import Spec
from p2s.spec.identity import NUMERICS_VERSION, evaluation_id, training_id
from tests.support import ROOT

RECORDS = sorted((ROOT / "results" / "runs").glob("*/*.json"))


def test_there_are_committed_records_of_both_scales():
    assert {path.parent.name for path in RECORDS} == {"desk", "photographs"}


@pytest.mark.parametrize("scale", ["desk", "photographs"])
def test_every_committed_record_keeps_its_identity(scale):
    for path in [path for path in RECORDS if path.parent.name == scale]:
        record = json.loads(path.read_bytes())
        spec = Spec.model_validate(record["spec"])
        training = training_id(spec, record["train_fingerprint"], record["seed"])
        assert record["numerics_version"] == NUMERICS_VERSION
        assert record["training_id"] == training, path
        wanted = evaluation_id(
            training, spec, record["val_fingerprint"], record.get("findings", {})
        )
        assert record["id"] == path.stem == wanted, path
