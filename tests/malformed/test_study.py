"""Records, weights, parameters and places: what is wrong, of which, in one line."""

import json
import os
import pickle
import zipfile

import pytest
import torch

from p2s import files
from p2s.model import weights
from p2s.study import records
from tests.support.commands import p2s
from tests.support.malformed import GONE, nested, put, require_line, require_told, rows
from tests.support.stub_study import project

NAN, INF = float("nan"), float("inf")
RECORDS = [  # place, value, the expected part of the line
    ("", [], "not a JSON record"),
    ("", None, "not a JSON record"),
    ("", "a", "not a JSON record"),
    ("", nested(10), "not a JSON record"),
    ("digest", GONE, "digest: the record was edited by hand"),
    ("digest", 5, "digest: the record was edited by hand"),
    ("id", GONE, "id: Field required"),
    ("id", 5, "id: Input should be a valid string"),
    ("id", "../a", "digest: the record was edited"),
    ("schema_version", 2, "schema_version: Input should be 1"),
    ("seed", "3", "seed: '3' is not a number"),
    ("seed", True, "seed: True is not a number"),
    ("seed", 10**30, "seed: a number of more than 53 bits"),
    ("metrics", GONE, "metrics: Field required"),
    ("metrics", [1], "metrics: Input should be a valid dictionary"),
    ("metrics.AP", "high", "metrics.AP: Input should be a valid number"),
    ("metrics.AP", 51.0, "digest: the record was edited by hand"),
    ("curve", {"iteration": 5}, "curve.iteration: Input should be a valid list"),
    ("spec", "CenterNet2", "spec: Input should be a valid dictionary"),
    ("source", "guessed", "source: Input should be 'measured' or 'paper'"),
    ("more", 1, "unknown more; valid: created, curve"),
    ("machine", nested(300), "machine: Input should be a valid dictionary"),
    ("scenes", [[]], "scenes.0: Input should be a valid dictionary"),
    ("created", None, "created: Input should be a valid string"),
]
TEXTS = [  # the bytes of a record
    (b"", "not a JSON record"),
    (b"{", "not a JSON record"),
    (b"[" * 10**5, "not a JSON record"),
    (b'{"findings": ' + b'{"a":' * 30_000 + b"1" + b"}" * 30_001, "not a JSON record"),
    (bytes(99), "not a JSON record"),
    (b"\xff\xfe{\0}\0", "id: Field required"),
    (b" " * 300_000, "300000 bytes .valid: up to 200000"),
    (b'{"seed": ' + b"9" * 5000 + b"}", "not a JSON record"),
]


class Shout:
    def __reduce__(self):
        return print, ("boo",)


def packed(path):
    """A file of torch whose members are packed: 4 KB that would be 4 MB."""
    torch.save({"a": torch.zeros(10**6)}, path)
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)


def header(path, **tensors):
    """A safetensors file of nothing but a header."""
    text = json.dumps(tensors).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text)


VAST = {"dtype": "F32", "shape": [10**9, 10**9], "data_offsets": [0, 4 * 10**18]}
WEIGHTS = [  # name, how it is made, the expected part of the line
    ("w.pt", lambda path: path.write_bytes(b""), "not a readable weights file"),
    ("w.pt", lambda path: path.write_bytes(b"hello"), "not a readable weights file"),
    ("w.pt", lambda path: torch.save([1, 2], path), "it holds a list, not a dict"),
    ("w.pt", lambda path: torch.save(torch.ones(2), path), "it holds a Tensor, not a dict"),
    ("w.pt", lambda path: torch.save({"a": Shout()}, path), "it would run"),
    ("w.pt", lambda path: torch.save(torch.nn.Linear(1, 1), path), "it would run"),
    ("w.pt", packed, "packed, of 40.* bytes .valid: as torch.save writes"),
    ("w.pt", lambda path: os.mkfifo(path), "not a regular file"),
    ("w.pt", lambda path: path.symlink_to("/dev/zero"), "not a regular file"),
    ("w.pt", lambda path: path.mkdir(), "not a regular file"),
    ("w.pt", lambda path: path.write_bytes(b"PK\x03\x04" + bytes(99)), "not a readable weights"),
    ("w.pth", lambda path: path.write_bytes(pickle.dumps({"a": Shout()})), "not a readable"),
    ("w.pkl", lambda path: path.write_bytes(b""), "not a readable weights file"),
    ("w.pkl", lambda path: path.write_bytes(pickle.dumps(Shout())), "it would run"),
    ("w.pkl", lambda path: path.write_bytes(pickle.dumps([1])), "it holds a list, not a dict"),
    ("w.pkl", lambda path: path.write_bytes(b"\x80\x02" + b"(" * 10**6), "not a readable"),
    ("w.pkl", lambda path: os.mkfifo(path), "not a regular file"),
    ("w.safetensors", lambda path: path.write_bytes(b""), "not a readable weights file"),
    ("w.safetensors", lambda path: path.write_bytes(b"\xff" * 99), "not a readable weights file"),
    ("w.safetensors", lambda path: header(path, a=VAST), "not a readable weights file"),
    ("w.safetensors", lambda path: header(path, a=5), "not a readable weights file"),
    ("w.safetensors", lambda path: os.mkfifo(path), "not a regular file"),
    ("w.npz", lambda path: path.write_bytes(b""), "unknown format; valid: .pkl, .pt, .pth"),
    ("w", lambda path: path.write_bytes(b""), "unknown format"),
]
PLACES = ["results", "results/runs", "results/runs/tiny", ".p2s/runs", ".p2s/weights"]
COMMANDS = [  # a command, the expected part of its last line
    ("predict --model x --output o p.png", "x: no folder, and no name of a model"),
    ("replay pipe", "pipe: not a regular file"),
    ("replay /dev/zero", "/dev/zero: not a regular file"),
    ("replay folder", "is a directory"),
    ("replay nothing.pt", "does not exist"),
    ("replay text", "text: unknown format; valid: .pkl"),
    ("import pipe --output o", "pipe: not a regular file"),
    ("import text --output o", "text: unknown format"),
    ("import text --output o --classes pipe", "pipe: not a regular file"),
    ("info folder", "holds no trained model"),
    ("glyphs --output o --set train=0", "train: Input should be greater than 0"),
    ("glyphs --output o --set size=1000000000", "data.size 1000000000: needs .* GB of memory"),
    ("glyphs --output o --set train=1000000000000", "data.train 1000000000000: needs"),
    ("glyphs --output o --set more=1", "unknown more; valid: "),
    ("glyphs --output o --set train", "write FIELD=VALUE"),
    ("evaluate --model folder --annotations pipe --images folder", "pipe: not a regular file"),
    ("study run --scale huge", "unknown scale 'huge'; valid: tiny"),
    ("study run --scale tiny --only x", "unknown experiment 'x'; valid: t"),
    ("study run --scale tiny --jobs 0", "0 is not in the range x>=1"),
    ("study run --scale tiny --executor x", "unknown executor"),
]
TRAIN = [  # options of train beside sound ones, the expected part of the line
    ("--train pipe", "pipe: not a regular file"),
    ("--val /dev/zero", "/dev/zero: not a regular file"),
    ("--images text", "is a file"),
    ("--size 0", "size: Input should be greater than 0"),
    ("--size many", "'many' is not a valid integer"),
    ("--size 1000000000", "recipe.short_edge 1000000000: needs .* GB of memory or more"),
    ("--size 999999999999999999", "size: a number of more than 53 bits"),
    ("--iterations -1", "iterations: Input should be greater than 0"),
    ("--seed -1", "seed: Input should be greater than or equal to 0"),
    ("--workers -1", "-1 is not in the range"),
    ("--processes 0", "0 is not in the range"),
    ("--save-minutes 0", "0.0 is not in the range|0 is not in the range"),
    ("--watch x", "'x' is not a valid integer"),
    ("--device tpu", "device 'tpu' is not here; valid: auto, cpu"),
    ("--precision fp8", "'fp8' is not one of"),
    ("--detector X", "unknown detector 'X'; valid: "),
    ("--weights text", "text: unknown format"),
    ("--set backbone.width=1000000", "backbone.width 1000000: needs .* GB"),
    ("--set recipe.batch=1000000000", "batch of 1000000000; more than 1 cannot train"),
    ("--set test.short_edge=1000000000 --set test.long_edge=1000000000", "test.short_edge"),
    ("--set recipe.short_edge=[]", "short_edge: Tuple should have at least 1 item"),
    ("--set num_classes=5", "num_classes: not a setting of this command; valid: "),
    ("--set recipe.rate=[[[[", "not valid YAML"),
]


def record(folder):
    run = {"id": "a", "training_id": "b", "detector": "CenterNet2", "scale": "tiny", "seed": 0}
    more = {"spec": {}, "train_fingerprint": "c", "val_fingerprint": "d", "metrics": {"AP": 50.0}}
    return records.write(records.Record(**run, **more, curve={"iteration": [0]}), folder)


@pytest.mark.parametrize(("place", "value", "told"), rows(RECORDS))
def test_a_record_is_told_by_file_and_field(tmp_path, place, value, told):
    path = record(tmp_path)
    path.write_text(json.dumps(put(json.loads(path.read_text()), place, value)))
    require_told(lambda: records.read(path), "a.json: ", told)
    assert records.survey(tmp_path)[0] == {}


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        *(({"spec": {part: [1]}}, f"spec: {part}: not an object") for part in records.PARTS),
        ({"spec": {"recipe": {"iterations": "9"}}}, "spec: recipe.iterations: not a number"),
        ({"spec": {"recipe": {"iterations": -1}}}, "spec: recipe.iterations: not a number"),
        ({"machine": {"memory_mb": "big"}}, "machine: memory_mb: not a whole number"),
    ],
)
def test_a_record_of_a_right_digest_is_held_to_what_is_asked_of_it(tmp_path, fields, told):
    path = record(tmp_path)
    content = json.loads(path.read_text()) | fields
    content["digest"] = files.canonical_digest({k: v for k, v in content.items() if k != "digest"})
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=rf"a\.json: {told}"):
        records.read(path)
    assert told in records.outlines(tmp_path, tmp_path / "kept" / "o.json")["a"].problem


@pytest.mark.parametrize(("content", "told"), rows(TEXTS))
def test_what_is_no_record_is_told(tmp_path, content, told):
    (tmp_path / "a.json").write_bytes(content)
    require_told(lambda: records.read(tmp_path / "a.json"), "a.json: ", told)
    assert "a.json" in records.outlines(tmp_path, tmp_path / "kept")["a"].problem


def test_a_pipe_is_no_record(tmp_path):
    os.mkfifo(tmp_path / "a.json")
    require_told(lambda: records.read(tmp_path / "a.json"), "a.json: .*not a regular file")


@pytest.mark.parametrize(("name", "make", "told"), rows(WEIGHTS))
def test_a_weights_file_is_told_by_name(tmp_path, name, make, told, capsys):
    make(tmp_path / name)
    require_told(lambda: weights.read_weights(tmp_path / name), f"{name}: ", told)
    assert "boo" not in capsys.readouterr().out


@pytest.mark.parametrize("place", PLACES)
def test_a_file_where_a_study_needs_a_folder_is_told_before_any_run(tmp_path, monkeypatch, place):
    study = project(tmp_path, monkeypatch)
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_text("a file")
    require_told(lambda: study.require_places("tiny"), f"{place}.*: cannot be written to: ")
    assert not (tmp_path / "begun good").exists()


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A study, and beside it a pipe, a folder and a text."""
    project(tmp_path, monkeypatch)
    (tmp_path / "experiments" / "executors.yaml").write_text("local: {jobs: 1}\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("hello")
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("words", "told"), rows(COMMANDS))
def test_a_command_ends_with_2_and_a_line(workplace, words, told):
    done = p2s(*words.split())
    assert done.exit_code == 2, done.output
    require_line(done.output.splitlines()[-1], told)


@pytest.mark.parametrize(("words", "told"), rows(TRAIN))
def test_train_ends_with_2_and_a_line_before_any_work(scenes, workplace, words, told):
    files = ("--train", scenes.train, "--val", scenes.val, "--images", scenes.images)
    done = p2s("train", *files, "--output", "o", "--iterations", 1, *words.split())
    assert done.exit_code == 2, done.output
    require_line(done.output.splitlines()[-1], told)
    assert not (workplace / "o").exists()


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    from p2s.data import glyphs
    from p2s.spec import Glyphs

    return glyphs.prepare(Glyphs(train=2, val=1, size=32, classes=2), tmp_path_factory.mktemp("g"))
