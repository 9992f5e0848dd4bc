"""Worlds and tokenizers that the cells of a study share, made before the first of them starts.

Rendered worlds are in the cache. Tokenizers are in the study's folder: the text tokenizer, and the
statistics of the vision tokenizer, come from all sources of the base recipe, also for a cell that
leaves some of them out, so that the losses of all cells are over the same tokens.
"""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from chiasm.assembly import check_feasible, kept_inputs, open_material
from chiasm.assembly.inputs import Inputs
from chiasm.data.preparation import Stage, silent
from chiasm.evaluation.material import Material
from chiasm.evaluation.settings import check_measures
from chiasm.recipe import Recipe
from chiasm.studies.cells import Cell
from chiasm.studies.opened import data_key


class Shared:
    """The tokenizers and the opened data of a study's cells.

    Args:
        folder: the study's folder.
        cache_folder: where rendered worlds and trained tokenizers are kept.
        on_stage: callback for the progress of slow preparations.
    """

    def __init__(
        self, folder: Path, cache_folder: Path | None = None, on_stage: Stage = silent
    ) -> None:
        self.folder = folder
        self.cache_folder = cache_folder
        self.on_stage = on_stage
        self._inputs: dict[str, Inputs] = {}
        self._material: dict[str, Material] = {}

    def prepare(self, cells: Iterable[Cell]) -> None:
        """Renders every world and makes every tokenizer that a cell needs.

        Raises:
            UserError: data that cannot be opened, or tokenizers that do not fit or are not there.
        """
        for cell in cells:
            check_measures(cell.recipe.evaluation)
            check_feasible(cell.recipe, self.cache_folder, self.on_stage)
            with only_process(self.folder / "inputs"):
                self.inputs(cell)

    def inputs_folder(self, cell: Cell) -> Path:
        """Returns the folder of the cell's tokenizers."""
        return self.folder / "inputs" / cell.inputs_key

    def inputs(self, cell: Cell) -> Inputs:
        """Returns the cell's tokenizers."""
        if cell.inputs_key not in self._inputs:
            folder = self.inputs_folder(cell)
            recipe = cell.inputs_recipe
            made = kept_inputs(
                recipe, self._opened(recipe), folder, self.on_stage, self.cache_folder
            )
            self._inputs[cell.inputs_key] = made
        return self._inputs[cell.inputs_key]

    def material(self, cell: Cell) -> Material:
        """Returns the cell's sources."""
        whole = self._opened(cell.inputs_recipe)
        names = cell.recipe.stream.sources
        return Material(
            {name: whole.train[name] for name in names},
            {name: whole.held_out[name] for name in names},
            {name: whole.facts[name] for name in names},
        )

    def _opened(self, recipe: Recipe) -> Material:
        key = data_key(recipe)
        if key not in self._material:
            self._material[key] = open_material(recipe, self.cache_folder, self.on_stage)
        return self._material[key]


@contextmanager
def only_process(folder: Path) -> Iterator[None]:
    """Waits until no other process works in the folder: a cell without its runner ends soon."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def if_free(folder: Path) -> Iterator[bool]:
    """As :func:`only_process`, but gives False at once where another process works there."""
    with (folder / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def tokenizer_fingerprint(inputs_folder: Path) -> str:
    """Returns a hash of the files of a run's text and vision tokenizers."""
    digest = hashlib.sha256()
    for path in sorted(path for path in inputs_folder.rglob("*") if path.is_file()):
        digest.update(str(path.relative_to(inputs_folder)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]
