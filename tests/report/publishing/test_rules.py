"""What may not be published is told with its page and what would be valid."""

import pytest

from p2s.data.catalogue import FREE
from p2s.report.publishing import rules
from p2s.report.publishing.folder import published
from p2s.report.site import sheets
from p2s.study.project import Project
from tests.support import ROOT

CREDIT = '<p class="credit" data-photographs="{}">{}</p>'
HERE = Project.at(ROOT)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project of a file, and of a notebook that names a host."""
    root = tmp_path_factory.mktemp("a_long_name")
    for name in ("notebooks/a.ipynb", "results/a.md"):
        (root / name).parent.mkdir()
        (root / name).write_text("https://named.example/a")
    return Project(root, root / ".p2s")


def problems(project, **pages):
    return rules.problems({f"{name}.html": text for name, text in pages.items()}, project)


def test_pages_that_keep_to_the_rules_have_no_problem(project):
    links = '<a href="b.html#x"></a><a href="#y"></a><b id="y"></b><a href="../../results/a.md">'
    named = '<a href="https://named.example/b"></a>' + CREDIT.format(20, f"A. B., {FREE}")
    drawn = """<img src="data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg'/>">"""
    mathematics = '<math xmlns="http://www.w3.org/1998/Math/MathML">P(C|O) / 2</math>'
    assert problems(project, a=links + named + drawn + mathematics, b='<b id="x"></b>') == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('<a href="c.html">', "c.html leads nowhere"),
        ('<a href="#z">', "#z leads nowhere"),
        ('<a href="a.html#z">', "a.html#z leads nowhere"),
        ('<a href="../../results/b.md">', "../../results/b.md leads nowhere"),
        ('<a href="../../../../b">', "../../../../b leads nowhere"),
        ("in /home/somebody/p2s/a.py", "/home/somebody/p2s/a.py"),
        ("File /usr/lib/python3.11/a.py", "/usr/lib/python3.11/a.py"),
        (r"C:\Users", r"C:\Users"),
        ("https://packages.example:8080/simple", "packages.example:8080"),
        (CREDIT.format(1, "A. B."), "photographs: A. B. (valid: a licence CC BY 4.0"),
        (CREDIT.format(1, "CC BY-NC 4.0"), "photographs: CC BY-NC 4.0 (valid: "),
        (CREDIT.format(1, "CC BY 4.0, the annotations"), "the annotations (valid: "),
        (CREDIT.format(21, FREE), "21 photographs (valid: at most 20)"),
    ],
)
def test_what_breaks_a_rule_is_told(project, text, told):
    [line] = problems(project, a=text)
    assert told in line and "valid: " in line and line.split(":")[0] in ("a.html", "all pages")


def test_where_the_project_is_may_not_be_told(project):
    assert any(str(project.root) in line for line in problems(project, a=f"x {project.root}/b"))


def test_sizes_count_bytes_and_every_page():
    half = "ä" * (rules.MOST_A_FILE // 2)
    assert rules.too_large({str(k): half for k in range(8)}) == []
    assert rules.too_large({"a": half + "b"}) == ["a: 1000001 bytes (valid: at most 1000000)"]
    [told] = rules.too_large({str(k): half for k in range(9)})
    assert told == "all pages: 9000000 bytes (valid: at most 8000000)"


def test_what_this_project_is_published_with_keeps_to_the_rules():
    pages = published(HERE)
    assert rules.problems(pages, HERE) == []
    assert pages.keys() == {sheet.entry.address for sheet in sheets(HERE)}
