"""The instructed walks of both splits of the small world."""

from pathlib import Path

import pytest

from chiasm.worlds import Split, WorldSettings
from chiasm.worlds.instructions import InstructedWalks, InstructionSettings, render_instructions


@pytest.fixture(scope="session")
def train_walks(settings: WorldSettings, cache: Path) -> InstructedWalks:
    return render_instructions(settings, InstructionSettings(), Split.TRAIN, cache)


@pytest.fixture(scope="session")
def held_out_walks(settings: WorldSettings, cache: Path) -> InstructedWalks:
    return render_instructions(settings, InstructionSettings(), Split.HELD_OUT, cache)
