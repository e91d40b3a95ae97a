"""`p2s list` and `p2s info`: what can be had, and what a folder holds."""

import json

import pytest
from safetensors.torch import load_file, save_file

from p2s.cli import models
from p2s.cli.evaluation import write_metrics
from p2s.data.catalogue import read_catalogue
from p2s.files import file_sha256
from p2s.model.zoo import build
from p2s.report.tables import runtimes
from p2s.spec import NAMED, Spec, merge
from p2s.spec.released import RELEASED
from p2s.train.shelf import EXAMPLES
from tests.support.commands import p2s
from tests.support.malformed import require_line
from tests.support.tiny import CLASSES, lively_folder


@pytest.fixture(scope="module")
def listed():
    done = p2s("list")
    assert done.exit_code == 0, done.output
    return {line[:29].strip(): line[29:].split() for line in done.output.splitlines()}


def test_every_named_detector_is_listed_with_its_stages(listed):
    assert [*listed] == ["detector", *NAMED, "", *EXAMPLES]
    for name in NAMED:
        spec = Spec.named(name)
        assert listed[name][:2] == [spec.first, spec.second]


def test_parameters_are_those_of_the_built_model(listed):
    model = build(Spec.named("CenterNet2"))
    count = sum(weight.numel() for weight in model.parameters())
    assert listed["CenterNet2"][2] == f"{count / 1e6:.1f}"


@pytest.mark.parametrize(
    "name, printed",  # read off the paper's Tables 1, 4, 6 and 11
    [
        ("CenterNet2", "42.9"),
        ("RetinaNet", "37.4"),
        ("FasterRCNN-RPN", "37.9"),
        ("FasterRCNN-RPN (P3-P7)", "38.6"),
        ("CascadeRCNN-RPN (P3-P7)", "42.1"),
        ("GA RPN", "39.6"),
        ("FCOS-RT", "-"),
    ],
)
def test_ap_is_what_the_paper_printed(listed, name, printed):
    assert listed[name][4] == printed


def test_weights_are_those_that_fetch_brings_and_import_reads(listed):
    assert listed["RetinaNet"][5:] == ["retinanet_R_50_FPN_1x"]
    assert "CenterNet2_R50_1x," in listed["CenterNet2"] and listed["GFL"][5:] == []


def test_every_detector_of_the_catalogue_can_be_imported_and_is_listed(listed):
    sources = {name: source for name, source in read_catalogue().items() if source.detector}
    assert len(sources) == 13 and {source.detector for source in sources.values()} <= {*RELEASED}
    told = " ".join(word for words in listed.values() for word in words[5:])
    assert all(name in told for name in sources)


def test_info_tells_what_a_folder_holds(tmp_path, monkeypatch):
    folder = lively_folder(tmp_path / "mine", "FasterRCNN-RPN (P3-P7)")
    monkeypatch.chdir(tmp_path)
    text = p2s("info", "mine").output
    assert "FasterRCNN-RPN (P3-P7) (rpn + faster, P3-P7)" in text
    assert f"3: {', '.join(CLASSES)}" in text and "not evaluated" in text
    assert file_sha256(folder / "model.safetensors") in text and "width 16" in text
    numbers = {"AP": 41.27, "AP50": float("nan"), "AP75": 0.0, "per_class": {"cat": 1.0}}
    where = {"device": "cpu, 1 threads", "precision": "fp32"}
    write_metrics(folder / "metrics.json", numbers, where)
    (folder / "training.json").write_text(json.dumps({"seed": 3, "seconds": 90.0}))
    text = p2s("info", folder).output
    assert "AP 41.3, AP50 -, AP75 0.0" in text
    assert "90000 iterations of 16 images, seed 3, 1.5 minutes" in text
    (folder / "imported.json").write_text(json.dumps({"as": "FasterRCNN-RPN", "file": "x.pkl"}))
    assert "FasterRCNN-RPN (rpn + faster, P3-P7), imported from x.pkl" in p2s("info", "mine").output


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_info_tells_of_weights_that_are_not_finite(tmp_path, number):
    folder = lively_folder(tmp_path / "mine")
    assert "broken" not in p2s("info", folder).output
    tensors = load_file(folder / "model.safetensors")
    name = next(name for name, tensor in tensors.items() if tensor.is_floating_point())
    tensors[name].view(-1)[0] = number
    save_file(tensors, folder / "model.safetensors")
    [line] = [each for each in p2s("info", folder).output.splitlines() if "broken" in each]
    assert f"{name}: not finite, as 1 of {len(tensors)}" in line


def test_a_terminal_obeys_no_name_of_a_class(tmp_path):
    folder = lively_folder(tmp_path / "mine")
    (folder / "classes.json").write_text(json.dumps(["a\nb\x1b[31m", *CLASSES[1:]]))
    told = p2s("info", folder).output
    assert "\x1b" not in told and r"3: a\nb\x1b[31m, dog, owl" in told


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"test": {"short_edge": 10**9, "long_edge": 10**9}}, "test.short_edge 1000000000, .*GB"),
        ({"test": {"pre_nms": 2**53}}, "test.pre_nms: Input should be less"),
        ({"test": {"proposals": 2**53}}, "test.proposals: Input should be less"),
        ({"backbone": {"width": 10**6}}, "backbone.width 1000000: needs .* GB"),
    ],
)
def test_info_of_what_no_machine_has_is_told_with_the_file(changes, told, tmp_path):
    folder = lively_folder(tmp_path / "mine")
    spec = json.loads((folder / "spec.json").read_text())
    (folder / "spec.json").write_text(json.dumps(merge(spec, changes)))
    done = p2s("info", folder)
    assert done.exit_code == 2
    require_line(done.stderr, rf"spec.json: {told}")


def test_info_of_a_folder_without_a_model_is_told_in_a_line(tmp_path):
    done = p2s("info", tmp_path)
    assert done.exit_code == 2 and done.stderr.count("\n") == 1
    assert "holds no trained model: model.safetensors is missing" in done.stderr


def test_without_the_published_numbers_a_dash_stands_for_ap(monkeypatch):
    """As where the package is installed without the project."""

    def missing(*cell):
        raise FileNotFoundError

    monkeypatch.setattr(runtimes, "published", missing)
    assert models._ap("CenterNet2") == "-"


@pytest.mark.parametrize(
    "content, told", [('{"AP": {"a": 1.0}}', "AP: .*number"), ("[1]", ".*object"), ("{", ".*JSON")]
)
def test_info_names_metrics_that_are_no_numbers(tmp_path, content, told):
    folder = lively_folder(tmp_path / "mine")
    (folder / "metrics.json").write_text(content)
    done = p2s("info", folder)
    assert done.exit_code == 2
    require_line(done.stderr, f"mine/metrics.json: {told}")
