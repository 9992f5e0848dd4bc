"""The tokenizers that the package carries, on pictures of the world that they were trained for."""

import json
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch

from chiasm.documents import Split
from chiasm.tokenizers.settings import open_tokenizer
from chiasm.tokenizers.tokenizer import Tokenizer
from chiasm.vision.kinds import RaeSettings
from chiasm.vision.learning.figures import psnr
from chiasm.vision.learning.pictures import pictures_of_frames
from chiasm.vision.trained import SHIPPED
from chiasm.worlds.render import render_worlds
from chiasm.worlds.settings import WorldSettings
from chiasm.worlds.sources import WorldSource

PRETRAINED = Path(str(resources.files("chiasm.vision"))) / "pretrained"
CHANNELS = {"embedded-world": 32, "embedded-world-sharp": 64}
DECIBELS = {"embedded-world": 24, "embedded-world-sharp": 27.7}


@pytest.fixture(scope="module", params=SHIPPED)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def tokenizer(name: str) -> Tokenizer:
    return open_tokenizer(RaeSettings(path=name))


def frames(split: Split, folder: Path) -> torch.Tensor:
    settings = WorldSettings(
        train_maps=12, held_out_maps=12, views_per_map=12, walks_per_map=1, frames_per_walk=5
    )
    world = render_worlds(settings, split, folder, num_processes=1)
    pictures = pictures_of_frames(WorldSource(world, "image_text"))
    return pictures.batch(np.arange(len(pictures)))


def test_size_and_shape(name, tokenizer) -> None:
    assert sum(file.stat().st_size for file in (PRETRAINED / name).iterdir()) <= 8_000_000
    shape = tokenizer.image_shape
    assert (shape.height_pixels, shape.rows, shape.columns) == (64, 4, 4)
    assert tokenizer.channels == CHANNELS[name]


def test_it_says_how_it_was_made(name) -> None:
    description = json.loads((PRETRAINED / name / "description.json").read_text())
    record = description["record"]
    assert record["command"].startswith(f"chiasm vision train recipes/vision-{name}.toml --out ")
    assert record["settings"]["seed"] == 0
    assert "train maps" in description["statistics"]["data"]
    assert description["statistics"]["count"] > 100_000


@pytest.mark.slow
def test_training_pictures_have_unit_variance(tokenizer, tmp_path) -> None:
    latents = tokenizer.encode(frames(Split.TRAIN, tmp_path))
    tokenizer.statistics.refuse(latents)
    assert latents.mean(dim=(0, 1)).square().mean().sqrt() < 0.3
    assert 0.8 < float(latents.var(dim=(0, 1)).mean()) < 1.25


@pytest.mark.slow
def test_held_out_pictures_survive(name, tokenizer, tmp_path) -> None:
    images = frames(Split.HELD_OUT, tmp_path)
    drawn = tokenizer.decode(tokenizer.encode(images))
    assert float(psnr(drawn, images).mean()) > DECIBELS[name]
