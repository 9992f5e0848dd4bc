"""A decoder trained here for a published model that has none."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from chiasm.errors import UserError
from chiasm.tokenizers.settings import open_tokenizer
from chiasm.vision.kinds import RaeSettings
from chiasm.vision.learning.pictures import Pictures
from chiasm.vision.learning.settings import TokenizerTrainingSettings
from chiasm.vision.learning.training import train_tokenizer


@pytest.mark.slow
@pytest.mark.parametrize("name", ["siglip2", "dinov2_with_registers"])
def test_it_draws_and_the_folder_refers_to_the_weights(
    published: Callable[[str], Path],
    tmp_path: Path,
    train_scenes: Pictures,
    held_out_scenes: Pictures,
    name: str,
) -> None:
    settings = TokenizerTrainingSettings.model_validate(
        {
            "name": "mine",
            "frozen": {"path": str(published(name)), "image_pixels": 32},
            "decoder": {"kind": "vit", "width": 32, "depth": 1, "heads": 2, "patch_pixels": 8},
            "reconstruction": {
                "fit": {
                    "steps": 30,
                    "pictures_per_step": 16,
                    "learning_rate": 3e-3,
                    "warmup_steps": 0,
                }
            },
        }
    )
    assert settings.frozen is not None
    frozen = open_tokenizer(settings.frozen)
    train = train_scenes.select(np.arange(32))
    images = held_out_scenes.batch(np.arange(8))
    with pytest.raises(UserError, match="no decoder"):
        frozen.decode(frozen.encode(images))

    seen: list[float] = []
    tokenizer = train_tokenizer(
        settings,
        train,
        held_out_scenes.select(np.arange(8)),
        tmp_path,
        frozen=frozen,
        progress=lambda stage, done, of, losses: seen.append(losses["l1"]),
    )
    assert np.mean(seen[-3:]) < 0.8 * seen[0]
    assert torch.equal(tokenizer.encoder.features(images), frozen.encoder.features(images))
    opened = open_tokenizer(RaeSettings(path=str(tmp_path)))
    latents = opened.encode(images)
    assert torch.equal(latents, tokenizer.encode(images))
    assert torch.equal(opened.decode(latents), tokenizer.decode(latents))
    assert opened.fingerprint == tokenizer.fingerprint
    kept = load_file(tmp_path / "weights.safetensors")
    assert {name.partition(".")[0] for name in kept} == {"decoder"}
