"""Latents of a pair of tokenizers: one folder of each, and the same losses as from pictures."""

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
from PIL import Image as PillowImage
from typer.testing import CliRunner

from chiasm.assembly import (
    build_inputs,
    build_stream,
    check_feasible,
    open_gallery,
    open_material,
)
from chiasm.batch.packed import PackedBatch
from chiasm.cli import app
from chiasm.data.pictures import decode_picture
from chiasm.documents import Split
from chiasm.errors import UserError
from chiasm.recipe import Recipe, load_recipe
from chiasm.vision.build import build_vision_tokenizer
from chiasm.vision.cached.layout import open_latents

PICTURES = 32
"""In each of the two sources."""

RECIPE = """
name = "tiny"

[streams.image]
kind = "dual"

[streams.image.context]
kind = "pixels"
image_pixels = 12
patch_pixels = 4

[streams.image.target]
kind = "pixels"
image_pixels = 16
patch_pixels = 8

[tokenizer]
vocabulary_tokens = 280

[stream]
row_positions = 64
rows_per_batch = 4

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
ONE = ['streams.image={kind="pixels", image_pixels=16, patch_pixels=8}']
"""The same recipe with one tokenizer for both parts."""


@pytest.fixture(scope="module")
def recipe_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Captioned pictures, which are drawn too, and others that are only asked about.

    One of the captioned pictures is cut off.
    """
    folder = tmp_path_factory.mktemp("data")
    drawn = np.random.default_rng(0)
    for source in ("pictures", "questions"):
        (folder / source).mkdir()
        rows = []
        for number in range(PICTURES):
            pixels = drawn.integers(0, 256, (16, 16 + number % 3, 3), dtype=np.uint8)
            PillowImage.fromarray(pixels).save(folder / source / f"{number}.png")
            words = {"text": f"number {number}", "question": "which?", "answer": str(number)}
            rows.append({"file_name": f"{number}.png", **words})
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / source / "metadata.jsonl").write_text(lines)
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


def reading(recipe: Recipe, folder: Path) -> Recipe:
    vision = recipe.streams["image"].model_copy(update={"latents": str(folder)})
    return recipe.model_copy(update={"streams": {"image": vision}})


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


@pytest.mark.parametrize(
    ("stored_type", "tolerance"), [("float32", 1e-6), ("float16", 1e-4), ("bfloat16", 1e-2)]
)
def test_a_pair_has_the_losses_of_training_from_pictures(
    recipe: Recipe,
    recipe_path: Path,
    from_pictures: list[tuple[float, float, float]],
    tmp_path: Path,
    stored_type: str,
    tolerance: float,
    all_losses,
) -> None:
    """Two grids, two numbers of channels, both parts in the batches, and a broken picture."""
    assert sum(flow > 0 for *_, flow in from_pictures) > 4
    encode(recipe_path, tmp_path / "latents", "--dtype", stored_type)
    cached = reading(recipe, tmp_path / "latents")
    np.testing.assert_allclose(all_losses(cached), from_pictures, rtol=tolerance)


def test_batches_hold_the_latents_of_both_parts(recipe: Recipe, encoded: Path) -> None:
    batches = first_batches(reading(recipe, encoded), 6)
    for batch in batches:
        batch.validate()
        assert not batch.images.pixels
    batch = next(batch for batch in batches if len(set(batch.images.target_N.tolist())) == 2)
    both = batch.images
    assert both.raw_GC is not None
    assert both.raw_UA is not None
    assert both.raw_GC.shape == (4 * int(both.target_N.sum()), 3 * 8 * 8)
    assert both.raw_UA.shape == (9 * int((~both.target_N).sum()), 3 * 4 * 4)
    with pytest.raises(ValueError, match="slots and latents differ"):
        replace(batch, images=replace(both, raw_UA=None)).validate()


def test_each_part_holds_its_own_pictures(recipe: Recipe, encoded: Path) -> None:
    """What is only asked about is never encoded to be drawn."""
    assert sorted(path.name for path in encoded.iterdir()) == ["context", "target"]
    tokenizer = build_vision_tokenizer(recipe.streams["image"])
    assert tokenizer.context is not None
    read = open_latents(encoded, tokenizer)
    pictures, keys = open_gallery(recipe, *Split), dict.fromkeys((True, False), 0)
    for number in range(len(pictures)):
        for image in pictures.images(number):
            if str(image.data).endswith("pictures/3.png"):
                with pytest.raises(UserError, match=r"3\.png cannot be decoded"):
                    read(image)
                continue
            own = tokenizer.target if image.target else tokenizer.context
            wanted_PC = own.encode(decode_picture(image, own.image_shape)[None])[0]
            found_PC = own.statistics.standardise(read(image))
            torch.testing.assert_close(found_PC, wanted_PC, rtol=0, atol=4e-3)
            keys[image.target] += 1
    assert keys == {True: PICTURES - 1, False: 2 * PICTURES - 1}
    for part, count in (("target", PICTURES - 1), ("context", 2 * PICTURES - 1)):
        manifest = json.loads((encoded / part / "rank-00000-of-00001.json").read_text())
        assert sum(shard["pictures"] for shard in manifest["shards"]) == count


def test_ranks_share_the_work(recipe: Recipe, recipe_path: Path, tmp_path: Path) -> None:
    encode(recipe_path, tmp_path / "latents", "--rank", "1", "--ranks", "2")
    cached = reading(recipe, tmp_path / "latents")
    with pytest.raises(UserError, match=r"context' lacks what 1 of 2 ranks encoded"):
        check_feasible(cached)
    encode(recipe_path, tmp_path / "latents", "--rank", "0", "--ranks", "2")
    check_feasible(cached)
    for batch in first_batches(cached, 3):
        batch.validate()


COMMAND = [sys.executable, "-m", "chiasm", "vision", "encode"]


def test_killed_encoding_goes_on_to_the_same_bytes(
    recipe: Recipe, recipe_path: Path, tmp_path: Path, content
) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    options = [str(recipe_path), "--out", str(killed), "--shard-pictures", "1"]
    with subprocess.Popen([*COMMAND, *options], stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and len(list(killed.glob("target/*.safetensors"))) < 3:
            time.sleep(0.001)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    with pytest.raises(UserError, match="target' is not finished: rank 0 of 1"):
        check_feasible(reading(recipe, killed))
    for out in (killed, whole):
        encode(recipe_path, out, "--shard-pictures", "1")
    assert content(killed) == content(whole)


def test_a_part_that_was_not_begun_is_named_and_made(
    recipe: Recipe, recipe_path: Path, encoded: Path, tmp_path: Path, content
) -> None:
    for part in ("context", "target"):
        stopped = Path(shutil.copytree(encoded, tmp_path / part))
        shutil.rmtree(stopped / part)
        wanted = f"lacks the latents of {part} pictures; .* goes on where it was stopped"
        with pytest.raises(UserError, match=wanted):
            check_feasible(reading(recipe, stopped))
        encode(recipe_path, stopped)
        assert content(stopped) == content(encoded)


@pytest.mark.parametrize(
    ("part", "settings", "message"),
    [
        ("context", {"patch_pixels": 6}, r"context' holds latents of another .*\n.*rows = 3 there"),
        ("target", {"image_pixels": 32}, r"target' holds latents of another .*\n.*= 16 there, 32"),
    ],
)
def test_latents_of_other_settings_are_refused_by_part(
    recipe: Recipe, encoded: Path, part: str, settings: dict, message: str
) -> None:
    changed = recipe.streams["image"].parts[part].model_copy(update=settings)
    vision = recipe.streams["image"].model_copy(update={part: changed})
    with pytest.raises(UserError, match=message):
        check_feasible(reading(recipe.model_copy(update={"streams": {"image": vision}}), encoded))


def test_one_tokenizer_and_two_are_not_exchanged(
    recipe: Recipe, recipe_path: Path, encoded: Path, tmp_path: Path, content
) -> None:
    one = tmp_path / "one"
    encode(recipe_path, one, "--set", *ONE)
    refusals = {
        one: (recipe, [], "the latents of one tokenizer, and the recipe has two"),
        encoded: (
            load_recipe(recipe_path, ONE),
            ONE,
            "the latents of two tokenizers, and the recipe has one",
        ),
    }
    for folder, (other, overrides, message) in refusals.items():
        before = content(folder)
        with pytest.raises(UserError, match=f"streams.image.latents = '{folder}' holds {message}"):
            check_feasible(reading(other, folder))
        sets = [each for override in overrides for each in ("--set", override)]
        with pytest.raises(UserError, match=f"--out {folder} holds {message}"):
            encode(recipe_path, folder, *sets)
        assert content(folder) == before
    with pytest.raises(UserError, match=r"lacks the latents of context and target pictures; make"):
        check_feasible(reading(recipe, tmp_path / "nothing"))
    with pytest.raises(UserError, match=r"tiny\.toml is a file; give a folder"):
        encode(recipe_path, recipe_path)
