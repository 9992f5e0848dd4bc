"""Cells: the runs of a study, one resolved recipe for each cell and seed.

The content hash of a cell covers its recipe, save for what cannot change what is learned (the run's
name, the size of its evaluation), what its tokenizers are made from, and the content of the users'
files. Two cells of one hash are one run, and a finished hash is never run again. Settings at their
default value are left out, so that a version that adds a setting does not start its studies anew;
if a default changes, :data:`DEFAULTS` does. The code's version is left out too: it is recorded with
every result, and shown where results of several versions meet.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from chiasm.errors import UserError, found_at, joined
from chiasm.loop.optimizer import OPTIMIZERS
from chiasm.recipe import Recipe, parse_recipe
from chiasm.studies.data import DataFingerprints
from chiasm.studies.settings import CellSettings, StudySettings
from chiasm.toml import assign, load_toml

HASH_CHARACTERS = 12

SEED = "{seed}"
"""Stands for the seed in what a cell sets, such as the model that it begins with."""

DEFAULTS = 1
"""Raised when the default value of a setting changes, since hashes leave out defaults."""


@dataclass(frozen=True)
class Cell:
    """One run of a study: a named cell with one seed."""

    name: str
    seed: int
    recipe: Recipe
    inputs_recipe: Recipe
    """The recipe whose sources the tokenizers are made from: all of the base recipe's."""
    budget_flops: float | None
    data: Mapping[str, str] = field(default_factory=dict)
    """Path → hash of the users' files of all of the base recipe's sources."""
    held_out_data: Mapping[str, str] = field(default_factory=dict)
    """Path → hash of the users' files that the study measures on; no part of the cell's hash."""

    @property
    def inputs_key(self) -> str:
        """Hash of what the tokenizers are made from; cells of one key share them."""
        chosen = _chosen(self.inputs_recipe)
        sources = {
            name: {key: value for key, value in source.items() if key != "weight"}
            for name, source in chosen["stream"]["sources"].items()
        }
        parts = ("tokenizer", "streams", "vision_training", "world")
        settings = {part: chosen.get(part, {}) for part in parts}
        content = {**settings, "sources": sources, "defaults": DEFAULTS}
        return content_hash(content | ({"data": self.data} if self.data else {}))

    @property
    def key(self) -> str:
        """The cell's content hash."""
        chosen = _chosen(self.recipe)
        learned = {k: v for k, v in chosen.items() if k not in ("name", "imports", "evaluation")}
        return content_hash({"recipe": learned, "inputs": self.inputs_key, "defaults": DEFAULTS})

    @property
    def title(self) -> str:
        """Name of the cell with its seed, for display."""
        return f"{self.name}, seed {self.seed}"


def _chosen(recipe: Recipe) -> dict[str, Any]:
    """Returns the settings that differ from their defaults, as plain values."""
    chosen = recipe.model_dump(mode="json", exclude_defaults=True)
    # Nothing that is learned depends on these.
    chosen.get("training", {}).pop("tracker", None)
    for source in chosen["stream"]["sources"].values():
        source.pop("license", None)
    optimizer = chosen.get("training", {}).get("optimizer", {})
    if optimizer.get("kind") == OPTIMIZERS.default:  # as before there were kinds
        del optimizer["kind"]
    return chosen


def content_hash(content: Any) -> str:
    """Returns the first hexadecimal digits of the SHA-256 of ``content`` as canonical JSON."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_CHARACTERS]


def expand(study: StudySettings, data: DataFingerprints | None = None) -> list[Cell]:
    """Returns every cell with every seed, in the study's order.

    ``data``: hashes of a study's folder, which also has those of files that are gone.

    Raises:
        UserError: a cell whose settings are no valid recipe (the message names the cell), cells
            that end up with one name, a baseline or a published cell that is not there.
    """
    base = load_toml(study.recipe)
    for name, value in study.set.items():
        assign(base, name, value)
    data = data or DataFingerprints()
    cells = [
        _cell(study, base, settings, combination, seed, data)
        for settings in study.cells or (CellSettings(name="base"),)
        for combination in _combinations(study.grid)
        for seed in study.seeds
    ]
    _refuse_unknown_names(study, cells)
    return cells


def baseline_of(study: StudySettings, cells: list[Cell]) -> str:
    """Returns the name of the cell that others are compared with."""
    return study.baseline or cells[0].name


def _combinations(grid: Mapping[str, list[Any]]) -> Iterator[dict[str, Any]]:
    for values in product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def _cell(
    study: StudySettings,
    base: dict[str, Any],
    settings: CellSettings,
    combination: Mapping[str, Any],
    seed: int,
    data: DataFingerprints,
) -> Cell:
    parts = [settings.name] if study.cells or not combination else []
    name = ", ".join([*parts, *(f"{key} = {value}" for key, value in combination.items())])
    with found_at(f"cell {name!r} of study {study.name}"):
        content = deepcopy(base)
        changes = {**settings.set, **combination, "seed": seed}
        for key, value in changes.items():
            own = value.replace(SEED, str(seed)) if isinstance(value, str) else deepcopy(value)
            assign(content, key, own)
        content["name"] = f"{study.name}: {name}, seed {seed}"
        inputs = parse_recipe(content, study.recipe.parent)
        _choose_sources(content, settings.sources)
        recipe = parse_recipe(content, study.recipe.parent)
    return Cell(
        name,
        seed,
        recipe,
        inputs,
        settings.budget_flops,
        data.of(inputs.stream.sources.values()),
        data.of(study.held_out.values()),
    )


def _choose_sources(content: dict[str, Any], weights: Mapping[str, float]) -> None:
    """Keeps the sources that a cell names, with its weights; none named keeps all."""
    sources = content.get("stream", {}).get("sources", {})
    unknown = [name for name in weights if name not in sources]
    if unknown:
        raise UserError(
            f"names {', '.join(unknown)}, which the base recipe does not have",
            setting="sources",
            remedy=f"it has {', '.join(sources)}",
        )
    if weights:
        kept = {name: {**sources[name], "weight": weight} for name, weight in weights.items()}
        content["stream"]["sources"] = kept


def _refuse_unknown_names(study: StudySettings, cells: list[Cell]) -> None:
    names = list(dict.fromkeys(cell.name for cell in cells))
    if len(names) * len(study.seeds) != len(cells):
        raise UserError(f"study {study.name} has cells of one name: {', '.join(names)}")
    asked = {"baseline": study.baseline} if study.baseline else {}
    asked |= {f"published[{n}].cell": entry.cell for n, entry in enumerate(study.published)}
    remedy = f"there is: {', '.join(names)}"
    wrong = [
        UserError("is no cell", setting=what, value=name, remedy=remedy).at(f"study {study.name}")
        for what, name in asked.items()
        if name not in names
    ]
    if wrong:
        raise joined(wrong)
