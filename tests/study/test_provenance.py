import subprocess

import nbformat
import pytest

from p2s.study import provenance


@pytest.fixture
def repository(tmp_path):
    def git(*words):
        who = ("-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false")
        subprocess.run(["git", "-C", tmp_path, *who, *words], check=True, capture_output=True)

    git("init")
    (tmp_path / "p2s").mkdir()
    for name in ("kept.json", "edited.json", "p2s/code.py"):
        (tmp_path / name).write_text("1")
    git("add", ".")
    git("commit", "-m", "one")
    return tmp_path


def test_committed_are_the_tracked_and_unchanged(repository):
    (repository / "edited.json").write_text("2")
    (repository / "new.json").write_text("1")
    paths = [repository / name for name in ("kept.json", "edited.json", "new.json", "none.json")]
    assert provenance.committed(paths) == {repository / "kept.json"}
    assert provenance.committed([]) == set()


def test_dirty_is_changed_code_not_a_changed_result(repository):
    (repository / "edited.json").write_text("2")
    clean = provenance.git_state(repository)
    assert len(clean["sha"]) == 40 and clean["dirty"] is False
    (repository / "p2s" / "new.py").write_text("2")
    assert provenance.git_state(repository) == clean | {"dirty": True}


def test_without_git_there_is_no_commit(tmp_path, repository):
    (tmp_path / "part").mkdir()
    nothing = {"sha": None, "dirty": None}
    assert provenance.git_state(tmp_path / "part") == nothing  # another project's repository
    assert provenance.git_state(tmp_path / "none") == nothing
    assert provenance.committed([tmp_path / "none" / "a.json"]) == set()


def test_the_source_hash_is_of_code_not_of_prose(tmp_path):
    new = nbformat.v4
    for prose, code in [("a", "1"), ("b", "1"), ("a", "2")]:
        path = tmp_path / f"{prose}{code}.ipynb"
        cells = [new.new_markdown_cell(prose), new.new_code_cell(code)]
        nbformat.write(new.new_notebook(cells=cells), path)
    a1, b1, a2 = (provenance.source_hash(tmp_path / f"{n}.ipynb") for n in ("a1", "b1", "a2"))
    assert a1 == b1 != a2


@pytest.mark.parametrize("content", ["", '{"cells": [', "{}", '{"cells": [{}]}'])
def test_a_damaged_notebook_is_named(tmp_path, content):
    (tmp_path / "run.ipynb").write_text(content)
    with pytest.raises(ValueError, match="run.ipynb: "):
        provenance.source_hash(tmp_path / "run.ipynb")


def test_versions_and_machine_say_what_numbers_depend_on():
    assert {"python", "torch", "numpy", "hotcoco"} <= set(provenance.versions())
    here = provenance.machine()
    assert here["cpu"] and here["cores"] >= 1 and here["threads"] >= 1 and here["isa"]
