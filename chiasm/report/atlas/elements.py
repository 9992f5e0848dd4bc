"""What the sections of the atlas are made of: plots, tables and numbers as HTML."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape

import numpy as np


def plots(figures: Mapping[str, str], *names: str) -> str:
    """Those of these figures that were drawn."""
    drawn = (figures[name] for name in names if name in figures)
    return "".join(f'<div class="plot">{svg}</div>' for svg in drawn)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are HTML."""
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join(
        "<tr>" + "".join(f'<td class="n">{cell}</td>' for cell in row) + "</tr>" for row in rows
    )
    return f"<div class='wide'><table><tr>{head}</tr>{body}</table></div>"


def decimal(value: float | np.floating) -> str:
    """Three digits; nan is unknown."""
    return "unknown" if math.isnan(value) else f"{value:.3f}".replace("-", "−")
