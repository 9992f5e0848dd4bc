"""Latents that are not whole, or not those that are asked for, are mended or refused."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from nursery import Forked
from PIL import Image as PillowImage

from chiasm.assembly import check_feasible
from chiasm.batch.items import CacheError
from chiasm.documents import Image
from chiasm.errors import UserError
from chiasm.recipe import Recipe, load_recipe
from chiasm.rgb import RULE
from chiasm.vision.cached.encoding import Rank
from chiasm.vision.cached.gallery import Gallery
from chiasm.vision.cached.latents import CachedLatents
from chiasm.vision.cached.shards import Manifest, manifest_path
from chiasm.vision.pixels import pixel_tokenizer

COMMAND = [sys.executable, "-m", "chiasm", "vision", "encode"]


@contextmanager
def encoding(recipe_path: Path, folder: Path) -> Iterator[subprocess.Popen]:
    """A process that encodes, and does not outlive the test."""
    options = ["--out", str(folder), "--shard-pictures", "1"]
    with Forked(
        [*COMMAND, str(recipe_path), *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.slow
def test_killed_encoding_goes_on_to_the_same_bytes(
    recipe: Recipe, recipe_path: Path, gallery: Gallery, tmp_path: Path, content, encode, reading
) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    with encoding(recipe_path, killed) as process:
        while process.poll() is None and len(list(killed.glob("*.safetensors"))) < 3:
            time.sleep(0.001)
    assert process.returncode == -signal.SIGKILL
    found = Manifest.read(manifest_path(killed, 0, 1))
    assert not found.finished
    with pytest.raises(UserError, match=r"is not finished: rank 0 of 1"):
        check_feasible(reading(recipe, killed))
    written = {file: file.stat().st_mtime_ns for file in (killed / s.file for s in found.shards)}
    encode(recipe, gallery, killed, shard_pictures=1)
    encode(recipe, gallery, whole, shard_pictures=1)
    assert {file: file.stat().st_mtime_ns for file in written} == written
    assert content(killed) == content(whole)


def test_the_same_call_again_mends_what_is_damaged(
    recipe: Recipe, gallery: Gallery, copy: Path, content, encode
) -> None:
    before = content(copy)
    shards = sorted(copy.glob("*.safetensors"))
    shards[1].unlink()
    flip_last_byte(shards[2])
    times = {path: path.stat().st_mtime_ns for path in (shards[0], shards[3])}
    encode(recipe, gallery, copy)
    assert content(copy) == before
    assert {path: path.stat().st_mtime_ns for path in times} == times


def flip_last_byte(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)


def flip_in_latents(path: Path) -> None:
    """One bit in each picture's latents, which no header tells of."""
    raw = bytearray(path.read_bytes())
    begin = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:begin])
    first, last = header["latents"]["data_offsets"]
    step = (last - first) // header["latents"]["shape"][0]
    for at in range(begin + first, begin + last, step):
        raw[at] ^= 1
    path.write_bytes(raw)


def test_damaged_latents_end_the_run_and_name_the_shard(
    recipe: Recipe, copy: Path, all_losses, reading
) -> None:
    for path in copy.glob("*.safetensors"):
        flip_in_latents(path)
    with pytest.raises(UserError, match=r"s\[\d+\]: the shard .*shard-0000\d.*damaged"):
        all_losses(reading(recipe, copy))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda shard, other: shard.unlink(), "is missing"),
        (lambda shard, other: shard.write_bytes(shard.read_bytes()[:-5]), r"it has \d+ bytes, its"),
        (lambda shard, other: shutil.copy(other, shard), "its keys are not those"),
    ],
)
def test_missing_and_exchanged_shards_are_named(
    recipe: Recipe, copy: Path, damage: Callable[[Path, Path], object], message: str, reading
) -> None:
    _, other, shard, *_ = sorted(copy.glob("*.safetensors"))
    damage(shard, other)
    with pytest.raises(UserError, match=f"the shard {shard} .*{message}"):
        check_feasible(reading(recipe, copy))


def test_a_missing_rank_is_named(
    recipe: Recipe, gallery: Gallery, tmp_path: Path, encode, reading
) -> None:
    encode(recipe, gallery, tmp_path, rank=Rank(1, 3))
    wanted = r"lacks what 2 of 3 ranks encoded \(rank-00000-of-00003.json, rank-00002"
    with pytest.raises(UserError, match=wanted):
        check_feasible(reading(recipe, tmp_path))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"patch_pixels": 4}, "rows = 2 there, 4 here"),
        ({"image_pixels": 32}, "height_pixels = 16 there, 32 here"),
        ({"kind": "rae"}, "encoder = pixels there, .*embedded-world"),
    ],
)
def test_latents_of_other_settings_are_refused(
    recipe: Recipe, encoded: Path, settings: dict, message: str, reading
) -> None:
    with pytest.raises(UserError, match="another vision tokenizer") as caught:
        check_feasible(reading(recipe, encoded, **settings))
    assert caught.match(message)


@pytest.mark.parametrize("rule", [None, RULE - 1, RULE + 1])
def test_latents_of_pictures_that_were_decoded_otherwise_are_refused(
    recipe: Recipe, gallery: Gallery, copy: Path, encode, reading, rule: int | None
) -> None:
    """A file's bytes are its key, and another rule made other pixels of them."""
    path = manifest_path(copy, 0, 1)
    content = json.loads(path.read_text())
    del content["origin"]["decoding"]
    content["origin"] |= {} if rule is None else {"decoding": rule}
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="decoding"):
        check_feasible(reading(recipe, copy))
    with pytest.raises(UserError, match="decoding"):
        encode(recipe, gallery, copy)


def test_a_picture_that_was_not_encoded_ends_the_run(
    recipe: Recipe, encoded: Path, recipe_path: Path, tmp_path: Path, all_losses, reading
) -> None:
    unknown = Image(np.full((16, 16, 3), 7, np.uint8), target=True)
    with pytest.raises(CacheError, match=r"lacks the latents of a picture \(pixels of shape"):
        CachedLatents(encoded, pixel_tokenizer(16, 8)).read(unknown)
    folder = shutil.copytree(recipe_path.parent / "pictures", tmp_path / "pictures")
    for path in folder.glob("*.png"):
        pixels = np.random.default_rng(int(path.stem)).integers(0, 256, (16, 16, 3), np.uint8)
        PillowImage.fromarray(pixels).save(path)
    other = load_recipe(recipe_path, [f'stream.sources.pictures.path="{folder}"'])
    with pytest.raises(UserError, match=r"pictures\[\d+\]: streams\.image\.latents = .* lacks"):
        all_losses(reading(other, encoded))


def test_a_folder_of_something_else_is_left_alone(
    recipe: Recipe, gallery: Gallery, encoded: Path, tmp_path: Path, encode, reading
) -> None:
    with pytest.raises(UserError, match="shard_pictures = 9 there, 8 here"):
        encode(recipe, gallery, encoded, shard_pictures=8)
    with pytest.raises(UserError, match="something else than the latents of 2 ranks"):
        encode(recipe, gallery, encoded, rank=Rank(0, 2))
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match=r"thesis\.txt"):
        encode(recipe, gallery, tmp_path)
    with pytest.raises(UserError, match="holds no latents"):
        check_feasible(reading(recipe, tmp_path))
