"""The tokenizer that the package carries, on pictures of the world that it was trained for."""

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
from chiasm.worlds.render import render_worlds
from chiasm.worlds.settings import WorldSettings
from chiasm.worlds.sources import WorldSource

FOLDER = Path(str(resources.files("chiasm.vision"))) / "pretrained" / "embedded-world"


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return open_tokenizer(RaeSettings())


def frames(split: Split, folder: Path) -> torch.Tensor:
    settings = WorldSettings(
        train_maps=12, held_out_maps=12, views_per_map=12, walks_per_map=1, frames_per_walk=5
    )
    world = render_worlds(settings, split, folder, num_processes=1)
    pictures = pictures_of_frames(WorldSource(world, "image_text"))
    return pictures.batch(np.arange(len(pictures)))


def test_size_and_shape(tokenizer) -> None:
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) <= 8_000_000
    shape = tokenizer.image_shape
    assert (shape.height_pixels, shape.rows, shape.columns, tokenizer.channels) == (64, 4, 4, 32)


def test_it_says_how_it_was_made() -> None:
    description = json.loads((FOLDER / "description.json").read_text())
    record = description["record"]
    assert record["command"].startswith("chiasm vision train recipes/vision-embedded-world.toml")
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
def test_held_out_pictures_survive(tokenizer, tmp_path) -> None:
    images = frames(Split.HELD_OUT, tmp_path)
    drawn = tokenizer.decode(tokenizer.encode(images))
    assert float(psnr(drawn, images).mean()) > 24
