"""Statistics of latents that a run measures are those of the latents that it learns from."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from chiasm.assembly import build_inputs, build_stream, open_material
from chiasm.assembly.training_items import MOST_ITEMS, training_items
from chiasm.recipe import Recipe, parse_recipe


@pytest.fixture
def mixed(tmp_path: Path, picture_folder: Callable[..., Path], films) -> Recipe:
    """Bright pictures, one in a document, and dark films of six frames, beside texts."""
    bright = [np.full((16, 16, 3), shade, np.uint8) for shade in range(200, 240)]
    (tmp_path / "films").mkdir()
    for number in range(8):
        films.write(tmp_path / "films" / f"{number}.mp4", 60, first=60 * number)
    (tmp_path / "texts").mkdir()
    for number in range(8):
        (tmp_path / "texts" / f"{number}.txt").write_text(f"text {number}")
    pictures = picture_folder(tmp_path / "pictures", bright)
    sources = {
        "pictures": {"kind": "image_text", "path": str(pictures), "weight": 3.0},
        "films": {
            **{"kind": "video", "task": "video", "path": str(tmp_path / "films")},
            **{"frames": 6, "frames_per_second": 6.0},
        },
        "texts": {"kind": "text", "path": str(tmp_path / "texts")},
    }
    settings = {
        "name": "mixed",
        "streams": {"image": {"kind": "pixels", "image_pixels": 16, "patch_pixels": 8}},
        "tokenizer": {"vocabulary_tokens": 270},
        "stream": {"sequence_length": 128, "sources": sources},
    }
    return parse_recipe(settings)


def test_what_the_run_reads_has_mean_0_and_deviation_1(mixed: Recipe) -> None:
    material = open_material(mixed)
    inputs = build_inputs(mixed, material.train)
    tokenizer = inputs.tokenizers["image"]
    assert tokenizer.statistics.data == "films, pictures"
    stream = build_stream(mixed, material.train, inputs, seed=mixed.seed)
    batches = [inputs.tokenizers.encode(next(stream).slots)["image"] for _ in range(40)]
    stream.close()
    latents = torch.cat(batches)
    assert latents.mean() == pytest.approx(0, abs=0.05)
    assert latents.var(0).mean().sqrt() == pytest.approx(1, abs=0.05)


def test_items_are_of_many_documents_and_bounded(mixed: Recipe) -> None:
    material = open_material(mixed)
    inputs = build_inputs(mixed, material.train)
    streams = inputs.tokenizers.streams
    items = training_items(mixed, material.train, inputs.text_tokenizer, streams, "image")
    assert len(items) <= MOST_ITEMS
    films = {item.number for item in items if item.source == "films"}
    assert len(films) > len(material.train["films"]) / 2
    texts = {"texts": material.train["texts"]}
    assert not training_items(mixed, texts, inputs.text_tokenizer, streams, "image")
