"""Precisions are compared on the same weights."""

from p2s.bench import precision


def test_every_precision_is_evaluated_on_the_same_weights(trained, monkeypatch):
    asked = []

    def optimize(model, name, calibration):
        asked.append((name, len(calibration)))
        return model

    monkeypatch.setattr(precision, "optimize", optimize)
    monkeypatch.setattr(precision, "onnx", lambda model, size, calibration: model)
    rows = precision.precisions(trained)["rows"]
    assert asked == [(name, precision.CALIBRATION) for name in ("fp32", "bf16", "int8")]
    assert len({row["AP"] for row in rows}) == 1 and len(rows) == 5
