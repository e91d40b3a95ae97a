from base64 import b64encode
from hashlib import sha256

from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from p2s.report import pages
from p2s.report.menu import Entry

EVERY = [Entry("index.html", "The front", "Front"), Entry("other.html", "Others", "Other", "More")]


def page(*cells):
    return pages.html(new_notebook(cells=list(cells)), EVERY[0], EVERY)


def output(**data):
    data = {f"{kind.replace('_', '/')}": content for kind, content in data.items()}
    return new_code_cell("1", outputs=[new_output("display_data", data)])


def test_a_page_asks_the_network_for_nothing():
    cells = new_markdown_cell("$x$ [p](https://a.b)"), output(text_latex="$y$")
    soup = BeautifulSoup(page(*cells), "html.parser")
    for tag in soup.find_all(["script", "link", "img", "iframe", "source", "object", "embed"]):
        assert tag.name in ("img", "script") and tag.get("src", "data:").startswith("data:")
    style = "".join(tag.text for tag in soup.find_all("style"))
    assert "url(" not in style and "@import" not in style
    assert soup.main.a["href"] == "https://a.b"


def test_the_one_script_is_ours_and_no_other_is_allowed():
    soup = BeautifulSoup(page(output(text_html="<b onclick='1'>a</b>")), "html.parser")
    [script] = soup.find_all("script")
    digest = b64encode(sha256(script.text.encode()).digest()).decode()
    policy = soup.find("meta", {"http-equiv": "Content-Security-Policy"})["content"]
    assert f"script-src 'sha256-{digest}'" in policy and "default-src 'none'" in policy
    assert script.text == pages.SCRIPT and "http" not in script.text


def test_mathematics_is_mathml_in_prose_and_outputs():
    cells = new_markdown_cell("a $x_1$ and $$y^2$$"), output(text_latex=r"$\displaystyle z$")
    soup = BeautifulSoup(page(*cells), "html.parser")
    assert [math["display"] for math in soup.find_all("math")] == ["inline", "block", "block"]
    assert "$" not in soup.main.text


def test_mathematics_in_a_heading_is_mathml_too():
    heading = BeautifulSoup(page(new_markdown_cell("## $P(O)$: where?")), "html.parser").main.h2
    assert heading.math.find("mi").text == "P" and ":math" not in str(heading)


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


def test_both_lists_name_all_pages_in_their_groups_and_mark_this_one():
    lists = BeautifulSoup(page(), "html.parser").find_all("nav")
    assert [bool(each.details) for each in lists] == [False, True]  # the second folds, on a phone
    for each in lists:
        links = [(a["href"], a.text, a.get("aria-current")) for a in each.find_all("a")]
        assert links == [("index.html", "Front", "page"), ("other.html", "Other", None)]
        assert [heading.text for heading in each.find_all("h2")] == ["More"]


def test_settings_are_folded_under_the_prose_that_tells_of_them():
    settings = new_code_cell("a: int = 1", metadata={"tags": ["parameters"]})
    soup = BeautifulSoup(page(new_markdown_cell("Settings: `a`."), settings), "html.parser")
    assert soup.main.summary.text == "Settings: a." and soup.main.text.count("Settings") == 1


def test_code_is_folded_and_results_are_not():
    soup = BeautifulSoup(page(output(text_html="<table></table>")), "html.parser")
    assert soup.main.details.find("pre") and not soup.main.details.find("table")
