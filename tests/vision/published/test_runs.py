"""Whole runs on published tokenizers: a recipe that differs in one line."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from chiasm.assembly import train_run
from chiasm.assembly.export import export_run
from chiasm.errors import UserError
from chiasm.inference.pretrained import Pretrained
from chiasm.loop.metrics import read_metrics
from chiasm.recipe import parse_recipe

Published = Callable[[str], Path]


@pytest.fixture(scope="module")
def pictures_folder(picture_folder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Captioned pictures: colour, grey, with alpha, and in 16 bits."""
    drawn = np.random.default_rng(0)
    pictures = []
    for _ in range(6):
        pixels = drawn.integers(0, 256, (40, 36, 4), dtype=np.uint8)
        grey = pixels[..., 0]
        pictures += [pixels[..., :3], grey, pixels, grey.astype(np.uint16) * 257]
    return picture_folder(tmp_path_factory.mktemp("pictures"), pictures)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "name", "decoder"),
    [("rae", "siglip2", None), ("rae", "rae_encoder", "rae"), ("vae", "sd_vae", None)],
)
def test_one_line_switches_the_tokenizer(
    published: Published,
    pictures_folder: Path,
    tmp_path: Path,
    kind: str,
    name: str,
    decoder: str | None,
) -> None:
    vision = {"kind": kind, "path": str(published(name)), "image_pixels": 32}
    if decoder:
        vision["decoder"] = str(published(decoder))
    recipe = parse_recipe(
        {
            "name": "tiny",
            "streams": {"image": vision},
            "tokenizer": {"vocabulary_tokens": 270},
            "stream": {
                "sequence_length": 64,
                "batch_size": 2,
                "sources": {
                    "pictures": {
                        "kind": "image_text",
                        "path": str(pictures_folder),
                        "held_out_fraction": 0.25,
                    }
                },
            },
            "model": {"width": 16, "depth": 1, "query_heads": 2, "key_value_heads": 1},
            "training": {
                "steps": 3,
                "validation_batches": 1,
                "schedule": {"warmup_steps": 1},
            },
        }
    )
    train_run(recipe, tmp_path, tell=lambda line: None)
    losses = [m for m in read_metrics(tmp_path / "metrics.jsonl") if "loss" in str(m)]
    assert len(losses) >= 3
    model = Pretrained.load(tmp_path)
    tokenizer = model.vision_tokenizer
    assert tokenizer.statistics.count > 0
    assert tokenizer.statistics.data == "pictures"
    kept = json.loads((tmp_path / "inputs" / "streams" / "image" / "description.json").read_text())
    assert kept["autoencoder" if kind == "vae" else "encoder"]["path"] == str(published(name))
    latents = tokenizer.encode(torch.rand(1, 3, 32, 32))
    if kind == "rae" and not decoder:
        with pytest.raises(UserError, match="has no decoder"):
            tokenizer.decode(latents)
    else:
        assert tokenizer.decode(latents).shape == (1, 3, 32, 32)
    told: list[str] = []
    export_run(tmp_path, tmp_path / "out", tell=told.append)
    library = "transformers" if kind == "rae" and not decoder else "diffusers"
    assert f"opens in {library}" in told[0]
    exported = Pretrained.load(tmp_path / "out").vision_tokenizer
    assert torch.equal(
        exported.encode(torch.ones(1, 3, 32, 32)), tokenizer.encode(torch.ones(1, 3, 32, 32))
    )
