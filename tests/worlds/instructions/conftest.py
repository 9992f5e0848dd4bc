"""The instructed walks of both splits of the small world."""

from pathlib import Path

import pytest

from chiasm.documents import Split
from chiasm.worlds.instructions.rendered import InstructedWalks, render_instructions
from chiasm.worlds.instructions.settings import InstructionSettings
from chiasm.worlds.settings import WorldSettings

INSTRUCTIONS = InstructionSettings(walks_per_map=12)


@pytest.fixture(scope="session")
def train_walks(settings: WorldSettings, cache: Path) -> InstructedWalks:
    return render_instructions(settings, INSTRUCTIONS, Split.TRAIN, cache)


@pytest.fixture(scope="session")
def held_out_walks(settings: WorldSettings, cache: Path) -> InstructedWalks:
    return render_instructions(settings, INSTRUCTIONS, Split.HELD_OUT, cache)
