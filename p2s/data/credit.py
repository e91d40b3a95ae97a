"""Credit: whose shown photographs are, and whether their licence lets a page show them."""

from html import escape
from pathlib import Path

from p2s.data import catalogue

# How licences begin of what a page shows: of COCO the annotations alone are CC BY.
FREE = "CC BY 4.0, https://creativecommons.org/licenses/by/"


def credit(path: Path, root: Path) -> str:
    """Whose the pictures of a folder under a root are, with licence and page; "" unless FREE."""
    known = catalogue.read_catalogue()
    name = catalogue.bringing(known, path, root)
    if name is None or not known[name].licence.startswith(FREE):
        return ""
    return f"{known[name].about}; {known[name].licence}; {known[name].page}. Shrunk."


def credited(words: str, count: int) -> str:
    """A line of HTML; `data-photographs` is read where a report is published."""
    told = f"{count} photographs: {escape(words)}" if count > 1 else f"Photograph: {escape(words)}"
    return f'<p class="credit" data-photographs="{count}">{told}</p>'
