"""Beside: a picture and the table that explains it, side by side, or below each other if narrow."""

from dataclasses import dataclass
from html import escape

import pandas as pd
from PIL import Image

from p2s.data.picture import credited, embedded

QUALITY = 85  # of JPEG
SIDES = "display: flex; flex-wrap: wrap; gap: 1.5rem; align-items: flex-start"
PICTURE = "flex: 1 1 20rem; min-width: 0; max-width: 40rem"


@dataclass(frozen=True)
class Beside:
    """What a notebook shows as both; `alt` says in words what is in the picture, `credit` whose."""

    picture: Image.Image
    alt: str
    table: pd.DataFrame
    credit: str = ""

    def _repr_html_(self) -> str:
        source = embedded(self.picture, QUALITY)
        picture = f'<img style="{PICTURE}" alt="{escape(self.alt)}" src="{source}">'
        whose = credited(self.credit, 1) if self.credit else ""
        return f'<div style="{SIDES}">{picture}{self.table.to_html(border=0)}</div>{whose}'
