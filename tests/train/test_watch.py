"""Watch: after which steps AP is asked for, of which weights, and what is kept of them."""

import json
import math

import pytest

from p2s.train import folder
from p2s.train.engine import Loop, load, train
from p2s.train.watch import Watch
from tests.support import tiny_training
from tests.support.tiny_training import DATA, SPEC, Tiny


@pytest.fixture(autouse=True)
def stubs(monkeypatch):
    tiny_training.install(monkeypatch)


@pytest.mark.parametrize(
    "every, total, due",
    [
        (0, 12, [3, 6, 9, 12]),
        (0, 10, [3, 5, 8, 10]),
        (0, 2, [1, 2]),
        (5, 12, [5, 10, 12]),
        (4, 12, [4, 8, 12]),
        (1, 3, [1, 2, 3]),
        (100, 12, [12]),
    ],
)
def test_ap_is_asked_for_every_so_many_steps_and_at_the_end(every, total, due):
    watch = Watch(None, every)
    assert [done for done in range(1, total + 1) if watch.is_due(done, total)] == due


def ap_in(output):
    curve = json.loads((output / "curve.json").read_text())
    assert len(curve["AP"]) == len(curve["iteration"])
    return {done: ap for done, ap in enumerate(curve["AP"], 1) if not math.isnan(ap)}


def test_the_function_that_is_handed_over_fills_the_curve(tmp_path):
    values = iter([10.0, 30.0, 20.0])
    loop = Loop(watch=Watch(lambda model: next(values), every=5))
    train(Tiny(), SPEC, DATA, tmp_path, seed=3, loop=loop)
    assert ap_in(tmp_path) == {5: 10, 10: 30, 12: 20}
    told = json.loads((tmp_path / "best" / "training.json").read_text())
    assert (told["iteration"], told["AP"]) == (10, 30)


def test_the_best_is_kept_only_where_it_is_asked_for(tmp_path):
    values = iter([30.0, 20.0, 10.0])
    watch = Watch(lambda model: next(values), every=5, keep_best=False)
    train(Tiny(), SPEC, DATA, tmp_path, seed=3, loop=Loop(watch=watch))
    assert ap_in(tmp_path) == {5: 30, 10: 20, 12: 10} and not (tmp_path / "best").exists()


def test_watching_may_begin_and_end_with_a_resume(tmp_path, monkeypatch):
    """The curve keeps one value an iteration, and the weights do not depend on it."""
    train(Tiny(), SPEC, DATA, tmp_path / "plain", seed=3)

    class Stop(Exception):
        pass

    def stop_at(iteration):
        def live(curve):
            if curve["iteration"][-1] == iteration:
                raise Stop

        return live

    def some(watch, last):
        with pytest.raises(Stop):
            loop = Loop(save_every=0, watch=watch, live=stop_at(last))
            train(Tiny(), SPEC, DATA, tmp_path / "cut", seed=3, loop=loop)

    some(None, 4)
    some(Watch(lambda model: 50.0, every=2), 9)
    train(Tiny(), SPEC, DATA, tmp_path / "cut", seed=3)
    assert ap_in(tmp_path / "cut") == {6: 50, 8: 50}
    ours, plain = (load(tmp_path / name)[0].state_dict() for name in ("cut", "plain"))
    assert all((value == plain[name]).all() for name, value in ours.items())


def aps(*values):
    """What is asked for AP, the same values again in each training."""
    left = iter(values)
    return Loop(watch=Watch(lambda model: next(left), every=5))


BETTER_BEFORE, BEST_AT_THE_END = (10.0, 30.0, 20.0), (10.0, 20.0, 30.0)


@pytest.mark.parametrize("name", ["notes.txt", "model.safetensors", "training.json", None])
def test_what_others_have_in_the_place_of_the_best_ends_a_training_before_it(tmp_path, name):
    other = tmp_path / "best" / name if name else tmp_path / "best"
    other.parent.mkdir(exist_ok=True)
    other.write_text('{"seed": 1, "seconds": 2}')
    with pytest.raises(ValueError, match="best: not of this training.*choose another folder"):
        train(Tiny(), SPEC, DATA, tmp_path, seed=3, loop=aps())
    assert other.read_text() == '{"seed": 1, "seconds": 2}'
    train(Tiny(), SPEC, DATA, tmp_path, seed=3)
    assert folder.best(tmp_path) is None and other.exists()


@pytest.mark.parametrize("left", folder.BEST_FILES[1:-1])
def test_what_a_stop_left_of_the_best_is_gone_on_with(tmp_path, left):
    for name in (left, f".{left}.0123.partial"):
        (tmp_path / "best").mkdir(exist_ok=True)
        (tmp_path / "best" / name).write_text("{")
    train(Tiny(), SPEC, DATA, tmp_path, seed=3, loop=aps(*BETTER_BEFORE))
    assert folder.best(tmp_path).AP == 30


@pytest.mark.parametrize("values", [BETTER_BEFORE, BEST_AT_THE_END])
def test_a_file_that_is_put_beside_the_best_stays(tmp_path, values):
    left = iter(values)

    def ap(model):
        if (tmp_path / "best").exists():
            (tmp_path / "best" / "notes.txt").write_text("mine")
        return next(left)

    train(Tiny(), SPEC, DATA, tmp_path, seed=3, loop=Loop(watch=Watch(ap, every=5)))
    names = {path.name for path in (tmp_path / "best").iterdir()}
    kept = {*folder.BEST_FILES} if values == BETTER_BEFORE else set()
    assert names == {"notes.txt"} | kept and (folder.best(tmp_path) is None) == (not kept)
