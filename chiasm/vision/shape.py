"""The grid of a picture that keeps its aspect ratio, within a budget of latent tokens.

NaViT (arXiv 2307.06304) and NaFlex of SigLIP 2 (arXiv 2502.14786) resize pictures likewise. There a
picture is stretched to whole patches; here it is never stretched: what whole patches leave over is
cut off at both edges.
"""

from __future__ import annotations

from functools import lru_cache


@lru_cache(1 << 12)
def native_grid(height: float, width: float, most_tokens: int) -> tuple[int, int]:
    """Returns (rows, columns) of the grid that a picture of these sides fills best.

    Of all grids within the budget it is the one with the largest k⁴·n, where k is the share of the
    picture that a crop to the grid's aspect ratio keeps, and n the number of latent tokens: what is
    cut off counts four times as much as tokens that are not used. The picture is scaled up or down
    to fill it. ``height`` and ``width`` are in any one unit.
    """
    aspect = width / height

    def worth(rows: int, columns: int) -> float:
        kept = min(aspect * rows / columns, columns / (aspect * rows))
        return kept**4 * rows * columns

    grids = [
        (rows, min(max(columns, 1), most_tokens // rows))
        for rows in range(1, most_tokens + 1)
        for columns in (int(aspect * rows), int(aspect * rows) + 1)
    ]
    return max(grids, key=lambda grid: worth(*grid))
