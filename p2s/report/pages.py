"""Pages: executed notebooks as HTML that needs no network, mathematics included."""

import re
from base64 import b64encode
from collections.abc import Sequence
from copy import deepcopy
from hashlib import sha256
from itertools import pairwise
from urllib.parse import quote
from xml.etree import ElementTree

import nbformat
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from p2s.report.figures.vectors import minified
from p2s.report.menu import Entry, address, grouped
from p2s.study.project import PAGE

OFFLINE = {"require_js_url": "", "mathjax_url": "", "jquery_url": "", "mermaid_js_url": ""}
NO_WIDGETS = {"jupyter_widgets_base_url": "", "widget_renderer_url": ""}
IMAGES = {"image/svg+xml", "image/png", "image/jpeg"}
TO_NOTEBOOK = re.compile(r'href="(\w+\.ipynb(?:#[\w-]+)?)"')
RESULTS = "../results/"  # from a notebook; a page is one folder deeper
SCRIPTS = ("tables.js", "gallery.js", "runs.js")
SCRIPT = "".join((PAGE / name).read_text(encoding="utf-8") for name in SCRIPTS)  # of every page
# nbconvert writes headings by ElementTree, and a browser knows MathML without a prefix alone.
ElementTree.register_namespace("", "http://www.w3.org/1998/Math/MathML")
MARKUP = re.compile(r"^#+ |[`*$]", re.MULTILINE)
PLAIN = " !$'()*,/:;=?@[]^`{|}~"  # what an address in double quotes may hold besides letters
TABLE = re.compile(r"\bT_[0-9a-f]{5}(?![0-9a-z])")
FUNCTION = re.compile(r"(<mi>(?:exp|ln|log|max|min|sup|inf|lim)</mi>)(?!<mo)")  # log 2, not log2


def html(notebook: nbformat.NotebookNode, this: Entry, every: Sequence[Entry]) -> str:
    """The page of an executed notebook (a node), with the list of all pages."""
    exporter = HTMLExporter(
        template_name=PAGE.name,
        extra_template_basedirs=[str(PAGE.parent)],
        filters={
            "prose": prose,
            "mathematics": mathematics,
            "relinked": relinked,
            "vector": vector,
        },
        **OFFLINE,
        **NO_WIDGETS,
    )
    # The browser obeys no other script, so none that a text from outside may hold.
    digest = b64encode(sha256(SCRIPT.encode()).digest()).decode()
    about = {
        "this": this,
        "groups": grouped(every),
        "script": SCRIPT,
        "allowed": f"sha256-{digest}",
    }
    body, _ = exporter.from_notebook_node(_described(notebook, this.title), resources=about)
    return _numbered(body)


def _described(notebook, said):
    """A copy whose pictures all have alternative texts: the last prose above, or `said`.

    The prose above the settings is what their fold is called.
    """
    notebook = deepcopy(notebook)
    for above, cell in pairwise([*notebook.cells]):
        if "parameters" in cell.metadata.get("tags", ()) and above.cell_type == "markdown":
            cell.metadata["summary"] = MARKUP.sub("", above.source)
            notebook.cells.remove(above)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            said = MARKUP.sub("", cell.source.strip().split("\n\n")[-1]).strip() or said
        for output in cell.get("outputs", ()):
            for mime in IMAGES.intersection(output.get("data", ())):
                about = output.metadata.setdefault(mime, {})
                about["alt"] = about.get("alt") or output.metadata.get("alt") or said
    return notebook


def prose(markdown: str) -> str:
    """Markdown with $mathematics$ as HTML with MathML; what is HTML in it is shown, not obeyed."""
    renderer = _Renderer(escape=True, allow_harmful_protocols=False)
    return MarkdownWithMath(renderer=renderer).render(markdown)


def relinked(html: str) -> str:
    """HTML whose links to notebooks lead to their pages, and those to results on from these."""
    html = TO_NOTEBOOK.sub(lambda link: f'href="{address(link[1])}"', html)
    return html.replace(f'href="{RESULTS}', f'href="../{RESULTS}')


def vector(svg: str) -> str:
    """SVG of matplotlib as an address in the page: as text, which is shorter than base64."""
    small = minified(svg)
    small = small if "'" in small else small.replace('"', "'")
    return f"data:image/svg+xml,{quote(small, PLAIN)}"


def _numbered(html):
    """HTML whose tables are named by their order: pandas names them by chance."""
    numbers = {name: f"T_{k}" for k, name in enumerate(dict.fromkeys(TABLE.findall(html)))}
    return TABLE.sub(lambda name: numbers[name[0]], html)


def mathematics(latex: str, display: str = "block") -> str:
    """LaTeX, with or without its dollars, as MathML; what cannot be read is shown as it is."""
    latex = latex.strip().strip("$").replace(r"\displaystyle", "").strip()
    try:
        return FUNCTION.sub(r'\1<mspace width="0.17em"/>', convert(latex, display=display))
    except Exception:  # latex2mathml raises errors of many kinds
        return f"<code>{IPythonRenderer().escape_html(latex)}</code>"


class _Renderer(IPythonRenderer):
    """Markdown whose mathematics is MathML and whose links to notebooks lead to their pages."""

    def block_math(self, body):
        return mathematics(body)

    def inline_math(self, body):
        return mathematics(body, "inline")

    def latex_environment(self, name, body):
        return mathematics(rf"\begin{{{name}}}{body}\end{{{name}}}")

    def link(self, text, url, title=None):
        if url.partition("#")[0].endswith(".ipynb"):
            url = address(url)
        elif url.startswith(RESULTS):
            url = f"../{url}"
        return super().link(text, url, title)
