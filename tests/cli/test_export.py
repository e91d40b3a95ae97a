"""`p2s export`: the file finds what the model finds, and a mistake leaves nothing."""

import sys

import pytest
import torch

from p2s.cli.export import ENGINES, Engine
from p2s.deploy.onnx_export import OnnxDetector
from p2s.train import shelf
from p2s.train.folder import load
from tests.support.commands import p2s
from tests.support.malformed import require_line
from tests.support.tiny import CLASSES, lively_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return lively_folder(tmp_path_factory.mktemp("models") / "mine", "FasterRCNN-RPN")


def image(height, width):
    pixels = torch.rand(3, height, width, generator=torch.Generator().manual_seed(0)) * 255
    return {"image": pixels, "height": height, "width": width}


def test_the_exported_file_finds_what_the_model_finds(folder):
    done = p2s("export", folder, "--to", "onnx", "--size", 64, 96)
    assert done.exit_code == 0, done.output
    path = folder / "model.onnx"
    assert f"{path}: image (3, 64, 96)" in done.output
    assert done.output.endswith(f"0 to 2: {', '.join(CLASSES)}\n")
    inputs, (model, spec, _) = [image(64, 96)], load(folder)
    model.set_test(spec.test)
    with torch.no_grad():
        [ours], [theirs] = model(inputs), OnnxDetector(path, threads=1)(inputs)
    ours, theirs = ours["instances"], theirs["instances"]
    assert len(ours) == len(theirs) > 5
    assert torch.allclose(ours.scores, theirs.scores, atol=1e-5)
    assert torch.allclose(ours.pred_boxes.tensor, theirs.pred_boxes.tensor, atol=1e-2)


@pytest.mark.parametrize("size", [(10**9, 10**9), (10**400, 1)])
def test_a_size_that_no_machine_has_is_refused_before_it_is_asked_for(folder, tmp_path, size):
    words = ("--to", "onnx", "--output", tmp_path / "model.onnx", "--size", *size)
    done = p2s("export", folder, *words)
    assert done.exit_code == 2
    require_line(done.stderr.splitlines()[-1], "--size.*(1000000000 pixels: needs .* GB|range)")


def test_an_export_that_fails_leaves_what_was_there(folder, tmp_path, monkeypatch):
    def fail(model, path, size):
        path.write_bytes(b"half")
        raise ValueError("cut in the midst")

    monkeypatch.setitem(ENGINES, "onnx", ENGINES["onnx"]._replace(writer=lambda: fail))
    (tmp_path / "model.onnx").write_bytes(b"before")
    done = p2s("export", folder, "--to", "onnx", "--output", tmp_path / "model.onnx")
    assert (done.exit_code, done.stderr) == (2, "p2s: cut in the midst\n")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"before"]


def test_a_model_that_came_with_p2s_is_exported_here(folder, tmp_path, monkeypatch):
    writes = Engine(".onnx", lambda: lambda model, path, size: path.write_text("net"))
    monkeypatch.setitem(ENGINES, "onnx", writes)
    monkeypatch.setitem(shelf.EXAMPLES, "mine", folder)
    monkeypatch.chdir(tmp_path)
    before = {*folder.iterdir()}
    assert p2s("export", folder, "--to", "onnx").exit_code == 0
    assert (tmp_path / "mine.onnx").read_text() == "net" and {*folder.iterdir()} == before


def test_all_files_that_an_engine_writes_come_along(folder, tmp_path, monkeypatch):
    def write(model, path, size):
        for each in (path, path.with_suffix(".bin")):
            each.write_text(f"{size}")

    monkeypatch.setitem(ENGINES, "onnx", ENGINES["onnx"]._replace(writer=lambda: write))
    output = tmp_path / "model.xml"
    assert p2s("export", folder, "--to", "onnx", "--output", output).exit_code == 0
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {
        "model.xml": "(64, 64)",
        "model.bin": "(64, 64)",
    }


@pytest.mark.parametrize(
    "words, told",
    [
        (("--to", "tensorrt"), "'tensorrt' is not"),
        (("--to", "onnx", "--size", "0", "9"), "Invalid value for '--size'"),
        (("--to", "onnx", "--output", "nowhere/model.onnx"), "nowhere is not a folder"),
        ((), "Missing option '--to'"),
    ],
)
def test_a_mistake_is_told_before_the_work(folder, words, told):
    before = sorted(folder.iterdir())
    done = p2s("export", folder, *words)
    assert done.exit_code == 2 and told in done.output
    assert sorted(folder.iterdir()) == before


def test_a_missing_engine_is_told_with_how_to_get_it(folder, monkeypatch):
    monkeypatch.delitem(sys.modules, "p2s.deploy.onnx_export")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    done = p2s("export", folder, "--to", "onnx")
    assert done.exit_code == 2 and done.stderr.count("\n") == 1
    assert "run `pip install onnx onnxscript onnxruntime`" in done.stderr
