"""Opened data, which stay open in a process for the next cell that reads the same."""

from __future__ import annotations

from pathlib import Path

from chiasm.assembly import open_material
from chiasm.evaluation.material import Material
from chiasm.recipe import Recipe
from chiasm.studies.cells import content_hash

KEPT = 2
"""Of what was opened last: what a cell trains on, and what its study measures on."""


class Opened:
    """Opens the sources of recipes, or has them open.

    Only what is rendered stays open: users' files may change from one cell to the next.

    ``cache_folder`` is where rendered worlds are kept.
    """

    def __init__(self, cache_folder: Path | None = None) -> None:
        self.cache_folder = cache_folder
        self._material: dict[str, Material] = {}

    def material(self, recipe: Recipe) -> Material:
        """Returns both splits of every source of the recipe.

        Raises:
            UserError: a source that cannot be opened.
        """
        key = data_key(recipe)
        found = self._material.pop(key, None)
        if found is None:
            while len(self._material) >= KEPT:
                del self._material[next(iter(self._material))]
            found = open_material(recipe, self.cache_folder)
        if not any(path for source in recipe.stream.sources.values() for path in source.paths):
            self._material[key] = found
        return found


def data_key(recipe: Recipe) -> str:
    """Returns a hash of all that opening the recipe's sources depends on."""
    stream = recipe.stream
    sources = [(n, s.model_dump(exclude={"weight"})) for n, s in stream.sources.items()]
    tables = {name: table.model_dump(mode="json") for name, table in recipe.tables.items()}
    actions = recipe.actions.model_dump(mode="json")
    return content_hash([tables, sources, stream.sequence_length, actions])
