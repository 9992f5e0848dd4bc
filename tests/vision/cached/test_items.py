"""Latents of two streams: one folder of each, and the same losses as from pictures."""

import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from nursery import Forked
from typer.testing import CliRunner

from chiasm.assembly import (
    build_inputs,
    build_stream,
    check_feasible,
    open_gallery,
    open_material,
    open_tokenizers,
)
from chiasm.batch.packed import PackedBatch
from chiasm.batch.slots import RawLatents
from chiasm.cli import app
from chiasm.documents import Split
from chiasm.errors import UserError
from chiasm.recipe import Recipe, load_recipe
from chiasm.vision.cached.items import CachedItems

PICTURES = 32
"""In each of the two sources."""

RECIPE = """
name = "tiny"

[streams.image]
kind = "pixels"
image_pixels = 16
patch_pixels = 8

[streams.seen]
context_of = "image"
kind = "pixels"
image_pixels = 12
patch_pixels = 4

[tokenizer]
vocabulary_tokens = 280

[stream]
sequence_length = 64
batch_size = 4

[stream.sources.pictures]
kind = "image_text"
path = "{folder}/pictures"
held_out_fraction = 0.3

[stream.sources.questions]
kind = "vqa"
path = "{folder}/questions"
held_out_fraction = 0.3

[model]
width = 16
depth = 1
query_heads = 2
key_value_heads = 1

[training]
steps = 8
validation_batches = 2

[training.schedule]
warmup_steps = 2
"""


@pytest.fixture(scope="module")
def recipe_path(picture_folder, noise_pictures, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Captioned pictures, which are drawn too, and others that are only asked about.

    One of the captioned pictures is cut off.
    """
    folder = tmp_path_factory.mktemp("data")
    sizes = (16, 16), (16, 17), (16, 18)
    for seed, source in enumerate(("pictures", "questions")):
        picture_folder(
            folder / source,
            noise_pictures(PICTURES, *sizes, seed=seed),
            lambda n: {"text": f"number {n}", "question": "which?", "answer": str(n)},
        )
    cut = folder / "pictures" / "3.png"
    cut.write_bytes(cut.read_bytes()[:99])
    path = folder / "tiny.toml"
    path.write_text(RECIPE.format(folder=folder))
    return path


@pytest.fixture(scope="module")
def recipe(recipe_path: Path) -> Recipe:
    return load_recipe(recipe_path)


@pytest.fixture(scope="module")
def encoded(recipe_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("encoded") / "latents"
    encode(recipe_path, out)
    return out


def encode(recipe_path: Path, out: Path, *options: str) -> str:
    """What ``chiasm vision encode`` prints; raises what ends it."""
    command = ["vision", "encode", str(recipe_path), "--out", str(out), "--shard-pictures", "9"]
    result = CliRunner().invoke(app, [*command, *options])
    if result.exception is not None:
        raise result.exception
    return result.output


def reading(recipe: Recipe, folder: Path, *names: str, **settings: object) -> Recipe:
    """The recipe with the latents of these streams, of both unless named, and other settings."""
    changed = {
        name: recipe.streams[name].model_copy(update={"latents": str(folder / name), **settings})
        for name in names or recipe.streams
    }
    return recipe.model_copy(update={"streams": {**recipe.streams, **changed}})


def first_batches(recipe: Recipe, count: int) -> list[PackedBatch]:
    material = open_material(recipe)
    inputs = build_inputs(recipe, material.train)
    stream = build_stream(recipe, material.train, inputs, recipe.seed)
    try:
        return [next(stream) for _ in range(count)]
    finally:
        stream.close()


@pytest.fixture(scope="module")
def from_pictures(recipe: Recipe, all_losses) -> list[tuple[float, float, float]]:
    return all_losses(recipe)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stored_type", "tolerance"), [("float32", 1e-6), ("float16", 1e-4), ("bfloat16", 1e-2)]
)
def test_two_streams_have_the_losses_of_training_from_pictures(
    recipe: Recipe,
    recipe_path: Path,
    from_pictures: list[tuple[float, float, float]],
    tmp_path: Path,
    stored_type: str,
    tolerance: float,
    all_losses,
) -> None:
    """Two grids, two numbers of channels, both streams in the batches, and a broken picture."""
    assert sum(flow > 0 for *_, flow in from_pictures) > 4
    encode(recipe_path, tmp_path / "latents", "--dtype", stored_type)
    cached = reading(recipe, tmp_path / "latents")
    np.testing.assert_allclose(all_losses(cached), from_pictures, rtol=tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["image", "seen"])
def test_a_stream_may_have_latents_where_the_other_has_none(
    recipe: Recipe,
    from_pictures: list[tuple[float, float, float]],
    encoded: Path,
    name: str,
    all_losses,
) -> None:
    cached = reading(recipe, encoded, name)
    np.testing.assert_allclose(all_losses(cached), from_pictures, rtol=1e-4)


def test_batches_hold_the_latents_of_both_streams(recipe: Recipe, encoded: Path) -> None:
    batches = first_batches(reading(recipe, encoded), 6)
    for batch in batches:
        batch.validate()
        assert not any(own.items for own in batch.slots.values())
    batch = next(batch for batch in batches if all(map(len, batch.slots.values())))
    image, seen = batch.slots["image"], batch.slots["seen"]
    assert image.raw_LC is not None
    assert seen.raw_LC is not None
    assert image.raw_LC.shape == (4 * len(image), 3 * 8 * 8)
    assert seen.raw_LC.shape == (9 * len(seen), 3 * 4 * 4)
    with pytest.raises(ValueError, match="slots of seen and their contents differ"):
        replace(batch, slots={"image": image, "seen": replace(seen, raw_LC=None)}).validate()


def test_each_stream_holds_its_own_pictures(recipe: Recipe, encoded: Path) -> None:
    """What is only asked about is never encoded to be drawn."""
    assert sorted(path.name for path in encoded.iterdir()) == ["image", "seen"]
    tokenizers = open_tokenizers(recipe)
    folders = {name: str(encoded / name) for name in tokenizers}
    reader = CachedItems(tokenizers, folders)
    pictures, keys = open_gallery(recipe, *Split), dict.fromkeys(("image", "seen"), 0)
    for number in range(len(pictures)):
        for image in pictures.images(number):
            if str(image.data).endswith("pictures/3.png"):
                with pytest.raises(UserError, match=r"3\.png cannot be decoded"):
                    reader.read(image)
                continue
            name = "image" if image.target else "seen"
            own, found = tokenizers[name], reader.read(image)
            assert isinstance(found, RawLatents)
            wanted_PC = own.encode(own.read(image.data)[None])[0]
            found_PC = own.statistics.standardize(found.raw_PC)
            torch.testing.assert_close(found_PC, wanted_PC, rtol=0, atol=4e-3)
            keys[name] += 1
    assert keys == {"image": PICTURES - 1, "seen": 2 * PICTURES - 1}
    for name, count in keys.items():
        manifest = json.loads((encoded / name / "rank-00000-of-00001.json").read_text())
        assert sum(shard["pictures"] for shard in manifest["shards"]) == count


@pytest.mark.slow
def test_ranks_share_the_work(recipe: Recipe, recipe_path: Path, tmp_path: Path) -> None:
    encode(recipe_path, tmp_path / "latents", "--rank", "1", "--ranks", "2")
    cached = reading(recipe, tmp_path / "latents")
    with pytest.raises(
        UserError, match=r"streams\.image\.latents = .*image' lacks what 1 of 2 ranks encoded"
    ):
        check_feasible(cached)
    encode(recipe_path, tmp_path / "latents", "--rank", "0", "--ranks", "2")
    check_feasible(cached)
    for batch in first_batches(cached, 3):
        batch.validate()


COMMAND = [sys.executable, "-m", "chiasm", "vision", "encode"]


@pytest.mark.slow
def test_killed_encoding_goes_on_to_the_same_bytes(
    recipe: Recipe, recipe_path: Path, tmp_path: Path, content
) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    options = [str(recipe_path), "--out", str(killed), "--shard-pictures", "1"]
    with Forked([*COMMAND, *options], stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and len(list(killed.glob("image/*.safetensors"))) < 3:
            time.sleep(0.001)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    with pytest.raises(
        UserError, match=r"streams\.image\.latents = .*image' is not finished: rank 0 of 1"
    ):
        check_feasible(reading(recipe, killed))
    for out in (killed, whole):
        encode(recipe_path, out, "--shard-pictures", "1")
    assert content(killed) == content(whole)


def test_a_stream_that_was_not_begun_is_named_and_made(
    recipe: Recipe, recipe_path: Path, encoded: Path, tmp_path: Path, content
) -> None:
    for name in recipe.streams:
        stopped = Path(shutil.copytree(encoded, tmp_path / name))
        shutil.rmtree(stopped / name)
        with pytest.raises(
            UserError, match=f"streams.{name}.latents = '{stopped / name}' holds no latents; make"
        ):
            check_feasible(reading(recipe, stopped))
        encode(recipe_path, stopped)
        assert content(stopped) == content(encoded)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        (
            "seen",
            {"patch_pixels": 6},
            r"streams\.seen\.latents = .*seen' holds latents of another .*\n.*rows = 3 there",
        ),
        (
            "image",
            {"image_pixels": 32},
            r"streams\.image\.latents = .*image' holds latents of another .*\n.*= 16 there, 32",
        ),
    ],
)
def test_latents_of_other_settings_are_refused_by_stream(
    recipe: Recipe, encoded: Path, name: str, settings: dict, message: str
) -> None:
    check_feasible(reading(recipe, encoded))
    with pytest.raises(UserError, match=message):
        check_feasible(reading(recipe, encoded, name, **settings))


def test_latents_of_two_streams_are_not_exchanged(
    recipe: Recipe, recipe_path: Path, encoded: Path, content
) -> None:
    seen = recipe.streams["seen"].model_copy(update={"latents": str(encoded / "image")})
    exchanged = recipe.model_copy(update={"streams": {**recipe.streams, "seen": seen}})
    with pytest.raises(UserError, match=r"holds latents of another .*\n.*height_pixels = 16 there"):
        check_feasible(exchanged)
    with pytest.raises(UserError, match=r"tiny\.toml is a file; give a folder"):
        encode(recipe_path, recipe_path)


def test_one_stream_and_several_are_not_encoded_into_one_folder(
    recipe_path: Path, encoded: Path, tmp_path: Path, content
) -> None:
    one = tmp_path / "one.toml"
    one.write_text(without_seen(recipe_path.read_text()))
    encode(one, tmp_path / "latents")
    for path, folder, message in (
        (
            recipe_path,
            tmp_path / "latents",
            "latents of one stream .*has image, seen; give another",
        ),
        (one, encoded, "latents of several streams .*has image; give another folder"),
    ):
        before = content(folder)
        with pytest.raises(UserError, match=message):
            encode(path, folder)
        assert content(folder) == before


def test_the_folders_of_all_streams_are_looked_at_before_anything_is_encoded(
    recipe: Recipe, recipe_path: Path, tmp_path: Path
) -> None:
    last = list(recipe.streams)[-1]
    (tmp_path / last).mkdir()
    (tmp_path / last / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match=rf"{last} holds something else .*: thesis\.txt"):
        encode(recipe_path, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [last]


def without_seen(recipe: str) -> str:
    """The recipe with one tokenizer for all pictures."""
    begin, end = recipe.index("[streams.seen]"), recipe.index("[tokenizer]")
    return recipe[:begin] + recipe[end:]
