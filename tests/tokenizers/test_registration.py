"""The tokenizer that docs/vision.md shows: one file, named by a recipe as any other."""

import importlib
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from chiasm.assembly import train_run
from chiasm.inference.pretrained import Pretrained
from chiasm.recipe import parse_recipe

PAGE = Path(__file__).parents[2] / "docs" / "vision.md"


def test_a_run_trains_on_it_and_its_model_is_opened_again(
    picture_folder, noise_pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [block] = re.findall(r'^```python\n("""mosaic\.py.*?)^```', PAGE.read_text(), re.M | re.S)
    (tmp_path / "mosaic.py").write_text(block)
    monkeypatch.syspath_prepend(tmp_path)
    mosaic = importlib.import_module("mosaic")
    pictures = noise_pictures(20, (8, 8))
    picture_folder(tmp_path, pictures)
    source = {"kind": "image_text", "path": str(tmp_path), "held_out_fraction": 0.3}
    recipe = {
        "name": "mosaic",
        "streams": {"image": {"kind": "mosaic"}},
        "tokenizer": {"vocabulary_tokens": 270},
        "stream": {"sequence_length": 32, "batch_size": 2, "sources": {"noise": source}},
        "model": {"width": 16, "depth": 1, "query_heads": 2, "key_value_heads": 1},
        "training": {"steps": 3, "validation_batches": 1, "schedule": {"warmup_steps": 1}},
    }
    run = tmp_path / "run"
    train_run(parse_recipe(recipe), run, tell=lambda line: None)
    tokenizer = Pretrained.load(run).vision_tokenizer
    assert torch.equal(tokenizer.encoder.mix_CC, mosaic.Mosaic(2).mix_CC)
    assert (tokenizer.statistics.data, tokenizer.statistics.count > 0) == ("noise", True)
    coarse = pictures[0].reshape(2, 4, 2, 4, 3).mean((1, 3)).repeat(4, 0).repeat(4, 1)
    drawn = tokenizer.decode(tokenizer.encode(tokenizer.read(pictures[0])[None]))[0]
    np.testing.assert_allclose(tokenizer.span(drawn, "image").data, coarse, atol=0.6)
