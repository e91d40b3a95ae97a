"""What a visitor reads first: short, its links lead somewhere, its commands exist."""

import json
import re
import shlex
import shutil
import subprocess
import tomllib
from collections import Counter
from pathlib import Path

import click
import pytest
import yaml

import p2s
from p2s.cli.main import main
from p2s.study.experiments import experiment_names, load_scales
from p2s.study.project import Project
from p2s.train.shelf import EXAMPLES
from tests.support import ROOT
from tests.support.commands import in_a_process

README = ROOT / "README.md"
PAGES = [README, *map(ROOT.joinpath, ("CONTRIBUTING.md", "CHANGELOG.md"))]
PAGES += sorted((ROOT / "docs").glob("*.md"))
WORDS, COLUMNS = 900, 120
MODULES, BYTES = 20, 1_000_000  # of a folder, of a file, at most
LARGER = {path / "model.safetensors" for path in EXAMPLES.values()}  # which tests hold at 3 MB
FENCED = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def folders(name: str) -> Counter:
    """How many Python files the folders below one have, by their path in it."""
    root, counts = ROOT / name, Counter()
    for path in root.rglob("*.py"):
        counts[str(path.parent.relative_to(root))] += 1
    return counts


def project_table():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def commands(page: Path, program: str) -> list[list[str]]:
    """The words behind `program` wherever a page prints it as code, in a block or in a line."""
    text = page.read_text()
    lines = [line for block in FENCED.findall(text) for line in block.splitlines()]
    lines += re.findall(r"`([^`\n]+)`", FENCED.sub("", text))
    asked = [line for line in lines if line.startswith(f"{program} ")]
    return [shlex.split(line, comments=True)[1:] for line in asked]


def parsed(words: list[str]) -> dict:
    """The options that `p2s` gets from words; click's error if a command or option is unknown."""
    context, command = click.Context(main, info_name="p2s"), main
    while isinstance(command, click.Group):
        options, words, _ = command.make_parser(context).parse_args(list(words))
        if not words or words[0] == "...":
            return options
        name, command, words = command.resolve_command(context, words)
        context = click.Context(command, parent=context, info_name=name)
    return command.make_parser(context).parse_args(list(words))[0]


def makefile() -> tuple[dict[str, str], set[str]]:
    """The targets of the Makefile with their help, and the variables that a caller may set."""
    text = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^([a-z]+):[^#\n]*(?:## (.+))?$", text, re.MULTILINE)
    return dict(targets), set(re.findall(r"^(?:export )?([A-Z]+) \?=", text, re.MULTILINE))


def anchors(page: Path) -> set[str]:
    """What a link may have behind a #: the page's headings as GitHub spells them."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


def test_the_readme_is_short_and_has_one_picture_and_a_place_for_results():
    text = README.read_text()
    assert len(text.split()) <= WORDS
    assert re.findall(r"!\[.+?\]\((.+?)\)", text) == ["results/figures/figure1.png"]
    assert re.findall(r"<!-- /?results -->", text) == ["<!-- results -->", "<!-- /results -->"]


def test_the_readme_maps_every_room_of_the_package_and_every_page_of_the_documentation():
    rooms = {f"p2s/{path.parent.name}" for path in (ROOT / "p2s").glob("*/__init__.py")}
    pages = {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")}
    assert rooms | pages <= set(re.findall(r"\]\((.+?)\)", README.read_text()))


def test_tests_stand_where_their_modules_stand_and_no_folder_is_crowded():
    package, tests = folders("p2s"), folders("tests")
    assert (
        tests.keys() - {"support", "slurm", "malformed", "torture"} <= package.keys()
        and len(tests) > 10
    )
    assert max(package.values()) <= MODULES and max(tests.values()) <= MODULES


@every_page
def test_lines_are_short_but_for_tables(page):
    text = page.read_text()
    if page == README:  # of its tables that of results may be long alone: records make it
        text = text[: text.index("<!-- results -->")] + text[text.index("<!-- /results -->") :]
    tables = () if page == README else ("|",)
    lines = [line for line in text.splitlines() if not line.startswith(tables)]
    assert [line for line in lines if len(line) > COLUMNS] == []


@pytest.mark.parametrize("path", sorted(ROOT.glob("notebooks/*.ipynb")), ids=lambda path: path.stem)
def test_code_lines_of_notebooks_are_short(path):
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    lines = [line for cell in cells for line in "".join(cell["source"]).splitlines()]
    assert lines and [line for line in lines if len(line) > 100] == []


@every_page
def test_every_relative_link_leads_somewhere(page):
    links = re.findall(r"\]\(([^)]+)\)", page.read_text())
    for place, _, anchor in (each.partition("#") for each in links if "://" not in each):
        target = (page.parent / place).resolve() if place else page
        assert target.exists() and target.is_relative_to(ROOT), place
        assert not anchor or anchor in anchors(target), anchor


@every_page
def test_every_make_target_and_variable_that_is_printed_exists(page):
    targets, variables = makefile()
    for words in commands(page, "make"):
        names = {word.partition("=")[0] for word in words if "=" in word}
        assert {word for word in words if "=" not in word} <= targets.keys(), words
        assert names <= variables, words


@every_page
def test_every_p2s_command_that_is_printed_exists_with_its_options(page):
    project = Project.at(ROOT)
    for words in commands(page, "p2s"):
        options = parsed(words)
        assert {*options.get("only", ())} <= {*experiment_names(project), "NAME"}, words
        assert options.get("scale", "smoke") in load_scales(project), words


@pytest.mark.parametrize("words", ["study rum", "study run --sacle desk", "trian", "--verison"])
def test_a_command_that_does_not_exist_would_be_found(words):
    with pytest.raises(click.UsageError):
        parsed(words.split())


def test_every_target_says_what_it_does_and_the_ci_runs_the_readmes_check():
    targets, _ = makefile()
    phony = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    assert set(phony.split()) == targets.keys() and all(targets.values())
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1] == "make check"
    assert ["check"] in commands(README, "make") and ["study"] in commands(README, "make")


def test_the_licence_is_apache_2_of_the_p2s_authors_wherever_it_is_named():
    text, project = (ROOT / "LICENSE").read_text(), project_table()["project"]
    assert "Apache License" in text and "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text and re.search(
        r"Copyright \d{4} the p2s auth", text
    )
    assert project["license"] == "Apache-2.0" and project["license-files"] == ["LICENSE"]


def test_the_citation_has_the_keys_of_its_format_and_names_study_and_paper():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert cited["cff-version"] == "1.2.0" and cited["license"] == "Apache-2.0"
    [paper] = cited["references"]
    for work, needed in ((cited, {"message", "title", "authors"}), (paper, {"type", "title"})):
        assert needed <= work.keys() and all(work[key] for key in needed)
    assert [each["family-names"] for each in paper["authors"]] == ["Zhou", "Koltun", "Krähenbühl"]
    assert paper["url"] in README.read_text()


def test_one_version_is_told_without_torch():
    done = in_a_process("--version")
    assert done.stdout == f"p2s {p2s.__version__}\nFalse\n" and done.returncode == 0
    settings = project_table()
    assert settings["project"]["dynamic"] == ["version"] and "version" not in settings["project"]
    assert settings["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "p2s.__version__"}
    assert f"## {p2s.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_every_file_of_the_package_that_is_no_module_is_in_a_wheel():
    package = ROOT / "p2s"
    data = project_table()["tool"]["setuptools"]["package-data"]
    packed = {
        path
        for name, patterns in data.items()
        for pattern in patterns
        for path in ROOT.joinpath(*name.split(".")).glob(pattern)
    }
    files = {path for path in package.rglob("*") if path.is_file() and path.suffix != ".py"}
    assert {path for path in files if "__pycache__" not in path.parts} <= packed != set()


def test_the_development_container_sets_the_project_up():
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    assert container["postCreateCommand"] == "make setup" and container["image"].endswith(":3.11")


def test_no_tracked_file_is_large():
    if not (git := shutil.which("git")) or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    paths = {ROOT / name for name in listed.stdout.decode().split("\0") if name} - LARGER
    assert [path for path in paths if path.is_file() and path.stat().st_size >= BYTES] == []


def test_reading_the_code_tells_of_every_folder_of_the_package():
    text = (ROOT / "docs" / "reading-the-code.md").read_text()
    assert [name for name in folders("p2s") if name != "." and f"p2s/{name}/" not in text] == []
