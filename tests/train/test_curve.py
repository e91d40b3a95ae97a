"""Curve: one value an iteration whatever is seen, and a picture that is renewed, but rarely."""

import io
import math

import pytest
from PIL import Image

from p2s.train import curve as curves
from p2s.train.curve import LivePicture, add, ap_of, drawn, thinned


def test_a_name_has_a_value_or_nan_at_each_iteration():
    curve = {}
    add(curve, 0, {"loss": 1.23456789})
    add(curve, 1, {"loss": 2.0, "AP": 30.0})
    add(curve, 2, {"AP": math.nan})
    assert curve["iteration"] == [0, 1, 2] and curve["loss"][:2] == [1.23457, 2.0]
    assert math.isnan(curve["AP"][0]) and math.isnan(curve["loss"][2])
    assert ap_of(curve) == [30.0]


def curve_of(count):
    return {"iteration": list(range(count)), "loss": [1.0] * count, "audit/exact": [0.5] * count}


@pytest.mark.parametrize("count", [1, 250])
@pytest.mark.parametrize("ap", [[], [math.nan], [25.0]])
def test_a_curve_of_any_length_is_drawn(count, ap):
    curve = curve_of(count)
    if ap:
        curve["AP"] = [math.nan] * (count - 1) + ap
    with Image.open(io.BytesIO(drawn(curve))) as picture:
        assert picture.format == "PNG" and picture.size == (960, 600)


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now, cost = 0.0, 0.1

        def monotonic(self):
            return self.now

        def drawn(self, curve):
            self.now += self.cost
            return f"{len(curve['iteration'])}".encode()

    clock = Clock()
    monkeypatch.setattr(curves, "time", clock)
    monkeypatch.setattr(curves, "drawn", clock.drawn)
    return clock


def renewals(clock, path, steps, seconds):
    """After how many iterations the picture is another one."""
    picture, seen, curve = LivePicture(path), [], {}
    for iteration in range(steps):
        clock.now += seconds
        add(curve, iteration, {"loss": 1.0})
        picture(curve)
        if path.exists() and (text := path.read_text()) not in seen:
            seen.append(text)
    return [int(text) for text in seen]


def test_the_picture_is_renewed_every_thirty_seconds(clock, tmp_path):
    assert renewals(clock, tmp_path / "curve.png", 20, 6) == [5, 10, 15, 20]


def test_a_picture_that_takes_long_is_renewed_more_rarely(clock, tmp_path):
    clock.cost = 2.0  # 2 % of the time, so every 100 s
    assert renewals(clock, tmp_path / "curve.png", 40, 10) == [3, 13, 23, 33]


@pytest.mark.parametrize("count", [1, 199, 200, 201, 90_000])
def test_a_thinned_curve_has_at_most_200_points_and_keeps_a_constant(count):
    curve = thinned({"iteration": list(range(count)), "loss": [0.5] * count})
    assert len(curve["iteration"]) == len(curve["loss"]) <= 200
    assert set(curve["loss"]) == {0.5}
    assert curve["iteration"] == sorted(curve["iteration"])


def test_lines_say_how_far_a_training_is_and_how_long_it_takes(monkeypatch):
    clock, told, curve = iter([0.0, 0.0, 30.0, 60.0, 90.0, 120.0]), [], {}
    monkeypatch.setattr(curves.time, "monotonic", lambda: next(clock))
    lines = curves.LiveLines(100, told.append, every=60.0)
    for step in range(5):  # one takes half a minute
        add(curve, step + 10, {"loss_a": 1.5, "loss_b": 0.25, "audit/worst": 9.0})
        lines(curve)
    assert told == [
        "13 of 100 steps, loss 1.750, about 44 min left",
        "15 of 100 steps, loss 1.750, about 42 min left",
    ]
