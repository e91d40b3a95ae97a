"""Pages: executed notebooks as HTML that needs no network, mathematics included."""

import re
from copy import deepcopy
from pathlib import Path

import nbformat
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from p2s.study.project import PAGE

INDEX = "report"
OFFLINE = {"require_js_url": "", "mathjax_url": "", "jquery_url": "", "mermaid_js_url": ""}
NO_WIDGETS = {"jupyter_widgets_base_url": "", "widget_renderer_url": ""}
IMAGES = {"image/svg+xml", "image/png", "image/jpeg"}
MARKUP = re.compile(r"^#+ |[`*$]", re.MULTILINE)
FUNCTION = re.compile(r"(<mi>(?:exp|ln|log|max|min|sup|inf|lim)</mi>)(?!<mo)")  # log 2, not log2


def address(notebook: Path | str) -> str:
    """The file name of a notebook's page."""
    stem = Path(notebook).stem
    return "index.html" if stem == INDEX else f"{stem}.html"


def title(notebook: Path | str) -> str:
    """The first heading of a notebook file, else its name."""
    cells = nbformat.read(notebook, as_version=4).cells
    prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    heading = re.search(r"^# +(.+)$", prose, re.MULTILINE)
    return heading[1].strip() if heading else Path(notebook).stem


def html(notebook: nbformat.NotebookNode, this: str, every: list[tuple[str, str]]) -> str:
    """The page of an executed notebook (a node); `every` is the (address, title) of all pages."""
    exporter = HTMLExporter(
        template_name=PAGE.name,
        extra_template_basedirs=[str(PAGE.parent)],
        filters={"prose": prose, "mathematics": mathematics},
        **OFFLINE,
        **NO_WIDGETS,
    )
    about = {"title": dict(every)[this], "address": this, "pages": every}
    body, _ = exporter.from_notebook_node(_described(notebook, about["title"]), resources=about)
    return body


def _described(notebook, said):
    """A copy whose pictures all have alternative texts: the last prose above, or `said`."""
    notebook = deepcopy(notebook)
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
        return super().link(text, address(url) if url.endswith(".ipynb") else url, title)
