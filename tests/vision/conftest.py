"""A small world of coloured scenes, drawn here: a wall, a floor and a square object on a side."""

from collections.abc import Callable

import numpy as np
import pytest

from chiasm.vision.learning.pictures import Box, Pictures
from chiasm.vision.learning.settings import TokenizerTrainingSettings

COLOURS = {"red": (200, 40, 40), "green": (40, 180, 60), "blue": (40, 60, 200)}
SIDES = {"left": 0.1, "right": 0.6}


def scenes(count: int, seed: int) -> Pictures:
    """Captioned pictures of 32 x 32 pixels with ground truth."""
    rng = np.random.default_rng(seed)
    pixels = np.zeros((count, 32, 32, 3), np.uint8)
    captions, facts, boxes = [], [], []
    names = list(COLOURS)
    for row in range(count):
        wall, floor, thing = (names[int(k)] for k in rng.integers(3, size=3))
        side = list(SIDES)[int(rng.integers(2))]
        pixels[row, :20], pixels[row, 20:] = COLOURS[wall], COLOURS[floor]
        left = round(SIDES[side] * 32)
        pixels[row, 10:20, left : left + 10] = 255 - np.array(COLOURS[thing])
        noise = rng.integers(0, 20, size=(32, 32, 3))
        pixels[row] = np.minimum(pixels[row].astype(int) + noise, 255)
        captions.append((f"a {wall} wall, a {floor} floor, a {thing} box on the {side}",))
        facts.append({"wall": wall, "floor": floor})
        boxes.append((Box(thing, 10 / 32, left / 32, 20 / 32, (left + 10) / 32),))
    return Pictures(pixels, captions, f"{count} scenes of seed {seed}", facts, boxes)


def small_settings(
    encoder_steps: int, decoder_steps: int, checkpoint_steps: int
) -> TokenizerTrainingSettings:
    fit = {"pictures_per_step": 32, "checkpoint_steps": checkpoint_steps, "warmup_steps": 5}
    return TokenizerTrainingSettings.model_validate(
        {
            "name": "scenes",
            "encoder": {"image_pixels": 32, "channels": 16, "widths": (8, 16, 32)},
            "decoder": {"widths": (32, 16, 8), "blocks": 1},
            "contrastive": {"fit": {**fit, "steps": encoder_steps}},
            "reconstruction": {"fit": {**fit, "steps": decoder_steps}},
        }
    )


@pytest.fixture(scope="session")
def make_settings() -> Callable[[int, int, int], TokenizerTrainingSettings]:
    return small_settings


@pytest.fixture(scope="session")
def train_scenes() -> Pictures:
    return scenes(256, seed=0)


@pytest.fixture(scope="session")
def held_out_scenes() -> Pictures:
    return scenes(64, seed=1)
