"""Recipes that train their vision tokenizer first."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from chiasm.assembly import open_tokenizers, train_run
from chiasm.errors import UserError
from chiasm.inference.pretrained import Pretrained
from chiasm.recipe import Recipe, parse_recipe

FIT = {"steps": 3, "pictures_per_step": 4, "warmup_steps": 1, "checkpoint_steps": 2}


@pytest.fixture(scope="module")
def pictures(picture_folder, noise_pictures, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return picture_folder(tmp_path_factory.mktemp("pictures"), noise_pictures(24, (16, 16)))


def recipe_of(
    pictures: Path,
    vision: dict[str, Any],
    channels: int = 2,
    streams: dict[str, Any] | None = None,
    **training: Any,
) -> Recipe:
    source = {"kind": "image_text", "path": str(pictures), "held_out_fraction": 0.25}
    return parse_recipe(
        {
            "name": "tiny",
            "streams": {"image": vision} | (streams or {}),
            "vision_training": {
                "name": "small",
                "kind": "vae",
                "source": source,
                "vae": {"image_pixels": 16, "downsampling": 4, "channels": channels, "width": 8},
                "reconstruction": {"fit": FIT, "sample_steps": 3},
                **training,
            },
            "tokenizer": {"vocabulary_tokens": 270},
            "stream": {"sequence_length": 32, "batch_size": 2, "sources": {"pictures": source}},
            "model": {"width": 16, "depth": 1, "query_heads": 2, "key_value_heads": 1},
            "training": {"steps": 2, "validation_batches": 0, "schedule": {"warmup_steps": 1}},
        }
    )


class Stages:
    """What was told of slow preparations."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def __call__(self, what: str, done: int, of: int) -> None:
        self.heard.append(what)


@pytest.mark.slow
def test_it_is_trained_once_and_anew_for_other_settings(pictures: Path, tmp_path: Path) -> None:
    stages = Stages()
    recipe = recipe_of(pictures, {"kind": "vae"})
    first = open_tokenizers(recipe, tmp_path, stages)["image"]
    assert any("vision tokenizer, vae" in what for what in stages.heard)
    assert first.channels == 8

    stages.heard.clear()
    again = open_tokenizers(recipe.model_copy(update={"seed": 7}), tmp_path, stages)["image"]
    assert [what.split(",")[1] for what in stages.heard] == [" from the cache"]
    assert again.fingerprint == first.fingerprint

    other = open_tokenizers(recipe_of(pictures, {"kind": "vae"}, channels=3), tmp_path, stages)[
        "image"
    ]
    assert any("vision tokenizer, vae" in what for what in stages.heard)
    assert other.channels == 12


@pytest.mark.slow
def test_it_is_trained_anew_when_its_pictures_have_changed(pictures: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(pictures, mine)
    recipe = recipe_of(mine, {"kind": "vae"})
    first = open_tokenizers(recipe, tmp_path / "cache")["image"]
    PillowImage.fromarray(np.zeros((16, 16, 3), dtype=np.uint8)).save(mine / "3.png")
    second = open_tokenizers(recipe, tmp_path / "cache")["image"]
    assert second.fingerprint != first.fingerprint

    # Times are no part of the data: neither a copy's, nor an edited file's old one.
    shutil.copytree(mine, tmp_path / "copy", copy_function=shutil.copyfile)
    shutil.rmtree(mine)
    (tmp_path / "copy").rename(mine)
    assert open_tokenizers(recipe, tmp_path / "cache")["image"].fingerprint == second.fingerprint
    stat = (mine / "3.png").stat()
    PillowImage.fromarray(np.full((16, 16, 3), 255, dtype=np.uint8)).save(mine / "3.png")
    os.utime(mine / "3.png", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (mine / "3.png").stat().st_mtime_ns == stat.st_mtime_ns
    assert open_tokenizers(recipe, tmp_path / "cache")["image"].fingerprint != second.fingerprint


@pytest.mark.slow
def test_a_run_reads_through_it_and_keeps_it(pictures: Path, tmp_path: Path) -> None:
    recipe = recipe_of(pictures, {"kind": "vae"})
    cache, run = tmp_path / "cache", tmp_path / "run"
    train_run(recipe, run, cache_folder=cache, tell=lambda line: None)
    model = Pretrained.load(run)
    assert model.vision_tokenizer.fingerprint == open_tokenizers(recipe, cache)["image"].fingerprint


def test_beside_another_stream_it_makes_the_tokenizer_of_pictures(
    pictures: Path, tmp_path: Path
) -> None:
    seen = {"kind": "pixels", "image_pixels": 16, "patch_pixels": 8, "context_of": "image"}
    recipe = recipe_of(pictures, {"kind": "vae"}, streams={"seen": seen})
    tokenizers = open_tokenizers(recipe, tmp_path)
    assert tokenizers["image"].name == "small"
    assert tokenizers["seen"].channels == 3 * 64


@pytest.mark.parametrize(
    ("vision", "message"),
    [
        ({"kind": "rae"}, r"streams\.image\.kind = 'rae', but .* kind 'vae'"),
        (
            {"kind": "vae", "path": "elsewhere"},
            r"streams\.image\.path = 'elsewhere' and vision_training",
        ),
    ],
)
def test_settings_that_name_another_tokenizer(
    pictures: Path, tmp_path: Path, vision: dict[str, Any], message: str
) -> None:
    stages = Stages()
    with pytest.raises(UserError, match=message):
        open_tokenizers(recipe_of(pictures, vision), tmp_path, stages)["image"]
    assert not stages.heard  # before anything expensive


def test_an_encoder_of_squares_is_not_trained_for_pictures_of_other_shapes(
    pictures: Path, tmp_path: Path
) -> None:
    stages = Stages()
    native = {"kind": "rae", "shape": "native"}
    with pytest.raises(UserError, match=r"streams\.image\.shape = 'native', but the encoder that"):
        open_tokenizers(recipe_of(pictures, native, kind="rae"), tmp_path, stages)
    assert not stages.heard
    native["kind"] = "vae"
    assert open_tokenizers(recipe_of(pictures, native), tmp_path, stages)["image"].varies
