"""The command: a list, one line for every mistake, and files in the project or where asked."""

import signal
import subprocess
import sys
from random import Random

import pytest

from p2s.data import catalogue
from p2s.data.catalogue import File, Source
from tests.support import ROOT
from tests.support.commands import in_a_process, p2s
from tests.support.server import serving

BODY = Random(0).randbytes(3_000_000)


@pytest.fixture
def site(monkeypatch):
    """A server of the one file of a catalogue in place of the real one."""
    with serving(files={"file": BODY}) as site:
        address = {"about": "weights", "licence": "none", "page": "https://page"}
        file = File(url=f"{site.url}file", to="datasets/w.pth", bytes=len(BODY))
        by_hand = File(to="datasets/x.json")
        sources = {
            "w": Source(**address, files=[file]),
            "x": Source(**address, files=[by_hand]),
        }
        monkeypatch.setattr(catalogue, "read_catalogue", lambda: sources)
        yield site


def states(folder):
    """Size and state that are listed of each name."""
    lines = p2s("fetch", "--into", folder).output.splitlines()
    return [" ".join(line.removesuffix("weights").split()) for line in lines]


def test_without_a_name_all_are_listed_with_size_and_what_is_there(site, tmp_path):
    (tmp_path / "datasets").mkdir()
    assert states(tmp_path) == ["w 3 MB missing", "x size unknown by hand"]
    (tmp_path / "datasets/w.pth.part").touch()
    assert states(tmp_path) == ["w 3 MB in part", "x size unknown by hand"]
    for name in ("w.pth", "x.json"):
        (tmp_path / "datasets" / name).touch()
    assert states(tmp_path) == ["w 3 MB there", "x size unknown there"] and site.asked == []


def test_the_real_list_has_a_line_a_name_and_needs_no_torch(tmp_path):
    done = in_a_process("fetch", "--into", tmp_path)
    *lines, torch = done.stdout.splitlines()
    assert done.returncode == 0 and torch == "False"
    assert [line.split()[0] for line in lines] == list(catalogue.read_catalogue())


def test_a_detector_whose_classes_are_not_named_yet_is_fetched_without_a_model(site, tmp_path):
    source = catalogue.read_catalogue()["w"]
    told = {"detector": "CenterNet2-LVIS", "classes": "datasets/lvis/a.json"}
    catalogue.read_catalogue()["w"] = source.model_copy(update=told)
    done = p2s("fetch", "--into", tmp_path, "CenterNet2-LVIS")
    assert done.exit_code == 0 and (tmp_path / "datasets/w.pth").exists()
    line = f"w: no model yet: {tmp_path}/datasets/lvis/a.json names its classes; with it, the same"
    assert done.output.splitlines()[-1].startswith(line)


def test_a_file_goes_into_the_project_or_where_none_is_into_the_folder(site, tmp_path, monkeypatch):
    (tmp_path / "project/experiments").mkdir(parents=True)
    (tmp_path / "project/experiments/scales.yaml").touch()
    for folder, root in (("project/experiments", "project"), (".", ".")):
        monkeypatch.chdir(tmp_path / folder)
        done = p2s("fetch", "w")
        assert done.exit_code == 0 and "https://page, licence: none" in done.output
        assert (tmp_path / root / "datasets/w.pth").read_bytes() == BODY


def test_mistakes_and_a_missing_network_are_one_line_and_2(site, tmp_path):
    site.status = 503
    by_hand = f"x: by hand: https://page to {tmp_path}/datasets/x.json"
    no_answer = f"try again, or by hand: {site.url}file to {tmp_path}/datasets/w.pth"
    for names, told in [
        (("y", "w"), "unknown y; valid: w, x"),
        (("w", "x"), by_hand),
        (("w",), f"no download (503 Service Unavailable); {no_answer}"),
    ]:
        done = p2s("fetch", "--into", tmp_path, *names)
        assert done.exit_code == 2 and done.stderr == f"p2s: {told}\n", done.output


def test_ctrl_c_keeps_the_part_and_the_same_command_goes_on(site, tmp_path):
    site.waits_after = 2 << 20
    code = (
        "import sys; from p2s.cli.main import main; from p2s.data import catalogue\n"
        "source = catalogue.Source.model_validate_json(sys.argv.pop(1))\n"
        "catalogue.read_catalogue = lambda: {'w': source}; main()"
    )
    source = catalogue.read_catalogue()["w"].model_dump_json()
    words = [sys.executable, "-c", code, source, "fetch", "w", "--into", str(tmp_path)]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    process, part = subprocess.Popen(words, cwd=ROOT, **pipes), tmp_path / "datasets/w.pth.part"
    while process.poll() is None and not (part.exists() and part.stat().st_size == 2 << 20):
        pass
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20)[1] == "stopped; the same command goes on from here\n"
    assert process.returncode == 130 and part.read_bytes() == BODY[: 2 << 20]
    site.waits_after = None
    done = p2s("fetch", "--into", tmp_path, "w")
    assert done.exit_code == 0 and "from byte 2097152 on" in done.output
    assert (tmp_path / "datasets/w.pth").read_bytes() == BODY
    assert site.asked == [None, "bytes=2097152-"] and not part.exists()
