import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from p2s.report import pages


def page(*cells):
    every = [("index.html", "Front"), ("other.html", "Other")]
    return pages.html(new_notebook(cells=list(cells)), "index.html", every)


def output(**data):
    data = {f"{kind.replace('_', '/')}": content for kind, content in data.items()}
    return new_code_cell("1", outputs=[new_output("display_data", data)])


def test_a_page_asks_the_network_for_nothing():
    cells = new_markdown_cell("$x$ [p](https://a.b)"), output(text_latex="$y$")
    soup = BeautifulSoup(page(*cells), "html.parser")
    for tag in soup.find_all(["script", "link", "img", "iframe", "source", "object", "embed"]):
        assert tag.name == "img" and tag["src"].startswith("data:")
    style = "".join(tag.text for tag in soup.find_all("style"))
    assert "url(" not in style and "@import" not in style
    assert soup.main.a["href"] == "https://a.b"


def test_mathematics_is_mathml_in_prose_and_outputs():
    cells = new_markdown_cell("a $x_1$ and $$y^2$$"), output(text_latex=r"$\displaystyle z$")
    soup = BeautifulSoup(page(*cells), "html.parser")
    assert [math["display"] for math in soup.find_all("math")] == ["inline", "block", "block"]
    assert "$" not in soup.main.text


def test_underscores_and_stars_of_mathematics_are_no_emphasis():
    html = pages.prose("$a_1 * b_2 * c_3$ and `$code$`")
    assert "<em>" not in html and "<code>$code$</code>" in html


def test_a_function_stands_apart_from_its_argument_but_not_from_its_bracket():
    assert "mspace" in pages.mathematics(r"\log 2")
    assert "mspace" not in pages.mathematics(r"\log(2)")


def test_what_is_no_mathematics_is_shown_as_it_is():
    assert pages.mathematics(r"\left( x <") == r"<code>\left( x &lt;</code>"


def test_an_equation_environment_is_mathematics():
    assert "<math" in pages.prose("\\begin{align}a &= b\\end{align}")


def test_links_to_notebooks_lead_to_their_pages():
    html = pages.prose("[a](table5.ipynb) [b](report.ipynb) [c](x.html)")
    assert all(f'href="{to}"' in html for to in ("table5.html", "index.html", "x.html"))


def test_the_bar_names_all_pages_and_marks_this_one():
    bar = BeautifulSoup(page(), "html.parser").nav.find_all("a")
    assert [a["href"] for a in bar] == ["index.html", "other.html"]
    assert [a.get("aria-current") for a in bar] == ["page", None]


def test_code_is_folded_and_results_are_not():
    soup = BeautifulSoup(page(output(text_html="<table></table>")), "html.parser")
    assert soup.main.details.find("pre") and not soup.main.details.find("table")


def test_a_notebook_without_heading_is_called_by_its_name(tmp_path):
    path = tmp_path / "plain.ipynb"
    nbformat.write(new_notebook(), path)
    assert pages.title(path) == "plain"


@pytest.mark.parametrize(("name", "address"), [("report", "index.html"), ("a", "a.html")])
def test_the_front_page_is_the_report(name, address):
    assert pages.address(f"notebooks/{name}.ipynb") == address
