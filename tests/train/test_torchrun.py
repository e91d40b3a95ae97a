"""torchrun's ranks train as one process does, and what ends one is said once, and said last."""

import pytest
from PIL import Image

from p2s.data import glyphs
from p2s.spec import Glyphs
from tests.support.several import P2S, TORCHRUN, curve, run, words


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    scenes = Glyphs(train=24, val=5, size=64, classes=2)
    return glyphs.prepare(scenes, tmp_path_factory.mktemp("glyphs"))


def test_torchrun_trains_as_one_process_does_and_rank_0_alone_prints(tmp_path, files):
    told = {}
    for name, launcher in {"one": P2S, "two": TORCHRUN}.items():
        done = run(*launcher, *words(files, tmp_path / name))
        assert done.returncode == 0, done.stderr
        told[name] = done.stdout.splitlines()
    assert len(told["one"]) == len(told["two"]) and told["one"][1:10] == told["two"][1:10]
    one, two = curve(tmp_path / "one"), curve(tmp_path / "two")
    assert one.keys() == two.keys() and len(one["iteration"]) == 20
    for name in one:
        assert two[name] == pytest.approx(one[name], rel=1e-4, abs=1e-4)


def assert_told_once_and_last(stderr, reason):
    """One line of a rank, and again as the cause that torchrun's last words give."""
    *_, last, _border = stderr.strip().splitlines()
    assert "traceback :" in last and reason in last
    lines = [line for line in stderr.splitlines() if line.startswith("p2s: ")]
    assert len(lines) == 1 and reason in lines[0]
    assert "stopped; the same command" not in stderr


def test_a_mistake_that_all_ranks_find_is_said_once(tmp_path, files):
    done = run(*TORCHRUN, *words(files, tmp_path / "out", "recipe.batch=3"))
    assert done.returncode == 1 and not (tmp_path / "out").exists()
    assert_told_once_and_last(done.stderr, "recipe.batch 3 for 2 processes: each has an equal part")


def test_what_one_rank_finds_is_said_by_it_alone(tmp_path):
    files = glyphs.prepare(Glyphs(train=24, val=5, size=64, classes=2, seed=1), tmp_path)
    picture = files.images / "train" / "000003.bmp"
    Image.open(picture).save(picture, "png")
    content = bytearray(picture.read_bytes())
    content[len(content) // 2] ^= 255  # which its header and its end do not tell
    picture.write_bytes(content)
    done = run(*TORCHRUN, *words(files, tmp_path / "out"), "--workers", 0)
    assert done.returncode == 1
    assert_told_once_and_last(done.stderr, picture.name)
