"""The data that come with this library: kinds and settings of the embedded world.

Importing it registers the world's kinds of sources, and needs no engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import chiasm.worlds.kinds  # noqa: F401
from chiasm.settings import Settings
from chiasm.worlds.instructions.settings import InstructionSettings
from chiasm.worlds.settings import WorldSettings


class WorldTable(Settings):
    """The table of the embedded world, wherever its sources are named."""

    world: WorldSettings = WorldSettings()
    """The embedded world, for sources of kind ``world``."""


class ProviderTables(WorldTable):
    """The tables of a recipe that several sources share."""

    instructions: InstructionSettings = InstructionSettings()
    """Its instructed walks, for sources of its task ``instructions``."""

    @property
    def tables(self) -> Mapping[str, Settings]:
        """Tables by name."""
        return {name: getattr(self, name) for name in ProviderTables.model_fields}


def record_freedoom(folder: Path, *sizes: int, seed: int) -> None:
    """Records walks through the maps that come with the engine into a new folder.

    Args:
        folder: new folder, with a trajectory per walk.
        sizes: numbers of maps, walks per map, frames per walk, and pixels of a frame's side.
        seed: seed of the walks.

    Raises:
        UserError: the engine has fewer maps.
    """
    from chiasm.worlds import freedoom

    freedoom.record_freedoom(folder, *sizes, seed=seed)
