"""Latents encoded ahead of training: the same losses, whole, and refused where they are not."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

from chiasm.assembly import check_vision, open_gallery
from chiasm.data.pictures import CacheError, decode_picture
from chiasm.documents import Image
from chiasm.errors import UserError
from chiasm.recipe import Recipe, load_recipe
from chiasm.vision import PixelTokenizer, build_vision_tokenizer
from chiasm.vision.cached.encoding import Rank, encode_gallery
from chiasm.vision.cached.gallery import Gallery, gallery_of_folder
from chiasm.vision.cached.latents import CachedLatents
from chiasm.vision.cached.shards import Manifest, manifest_path
from chiasm.worlds import Split

CPU = torch.device("cpu")
PICTURES = 40
BROKEN = 3

RECIPE = """
name = "tiny"

[vision]
kind = "pixels"
image_pixels = 16
patch_pixels = 8

[tokenizer]
vocabulary_tokens = 280

[stream]
row_positions = 48
rows_per_batch = 4

[stream.sources.pictures]
kind = "image_text"
path = "{folder}/pictures"
held_out_fraction = 0.2

[stream.sources.questions]
kind = "vqa"
path = "{folder}/pictures"
held_out_fraction = 0.2

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
def recipe_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of several sizes, two sources that share them, and one file that is cut off."""
    folder = tmp_path_factory.mktemp("data")
    drawn = np.random.default_rng(0)
    (folder / "pictures").mkdir()
    rows = []
    for number in range(PICTURES):
        pixels = drawn.integers(0, 256, (16 + number % 3, 16, 3), dtype=np.uint8)
        file = folder / "pictures" / f"{number}.png"
        PillowImage.fromarray(pixels).save(file)
        rows.append(
            {
                "file_name": file.name,
                "text": f"number {number}",
                "question": f"which number is {number}?",
                "answer": str(number),
            }
        )
    whole = (folder / "pictures" / f"{BROKEN}.png").read_bytes()
    (folder / "pictures" / f"{BROKEN}.png").write_bytes(whole[: len(whole) // 2])
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "pictures" / "metadata.jsonl").write_text(lines)
    path = folder / "tiny.toml"
    path.write_text(RECIPE.format(folder=folder))
    return path


@pytest.fixture(scope="module")
def recipe(recipe_path: Path) -> Recipe:
    return load_recipe(recipe_path)


@pytest.fixture(scope="module")
def gallery(recipe: Recipe) -> Gallery:
    return open_gallery(recipe, *Split)


@pytest.fixture(scope="module")
def encoded(recipe: Recipe, gallery: Gallery, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoded") / "latents"
    encode(recipe, gallery, folder)
    return folder


def encode(recipe: Recipe, gallery: Gallery, folder: Path, **options: object) -> Manifest:
    tokenizer = build_vision_tokenizer(recipe.vision)
    options = {"shard_pictures": 9} | options
    return encode_gallery(gallery, tokenizer, folder, device=CPU, **options)  # type: ignore[arg-type]


def reading(recipe: Recipe, folder: Path, **settings: object) -> Recipe:
    """The recipe with these latents, and other settings of its vision tokenizer."""
    vision = recipe.vision.model_copy(update={"latents": str(folder), **settings})
    return recipe.model_copy(update={"vision": vision})


@pytest.fixture
def copy(encoded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(encoded, tmp_path / "copy"))


def test_training_from_latents_has_the_losses_of_training_from_pictures(
    recipe: Recipe, encoded: Path, all_losses
) -> None:
    """A picture that cannot be decoded is passed over in both."""
    from_pictures = all_losses(recipe)
    assert sum(flow > 0 for *_, flow in from_pictures) > 4
    np.testing.assert_allclose(all_losses(reading(recipe, encoded)), from_pictures, rtol=1e-4)


@pytest.mark.parametrize(
    ("stored_type", "tolerance"), [("float32", 1e-6), ("float16", 4e-3), ("bfloat16", 3e-2)]
)
def test_latents_are_those_of_the_encoder(
    recipe: Recipe, gallery: Gallery, tmp_path: Path, stored_type: str, tolerance: float
) -> None:
    encode(recipe, gallery, tmp_path, stored_type=stored_type)
    tokenizer = build_vision_tokenizer(recipe.vision)
    cache = CachedLatents(tmp_path, tokenizer)
    assert len(cache) == PICTURES - 1
    broken = 0
    for number in range(len(gallery)):
        for image in gallery.images(number):
            if Path(str(image.data)).stem == str(BROKEN):
                broken += 1
                for read in (cache.read, partial(decode_picture, shape=tokenizer.image_shape)):
                    with pytest.raises(UserError, match=r"3\.png cannot be decoded: image file"):
                        read(image)
                continue
            pixels = decode_picture(image, tokenizer.image_shape)
            wanted = tokenizer.encode(pixels[None] / 255)[0]
            found = tokenizer.statistics.standardise(cache.read(image))
            torch.testing.assert_close(found, wanted, rtol=0, atol=tolerance)
    assert broken == 3  # a caption, a picture to draw, a question


def test_other_statistics_read_the_same_latents(recipe: Recipe, encoded: Path) -> None:
    tokenizer = PixelTokenizer(16, 8)
    known = next(open_gallery(recipe, Split.TRAIN).images(0))
    before = CachedLatents(encoded, tokenizer).read(known)
    tokenizer.measure([torch.rand(8, 3, 16, 16)], data="noise")
    torch.testing.assert_close(CachedLatents(encoded, tokenizer).read(known), before)


def test_ranks_share_the_work(recipe: Recipe, gallery: Gallery, tmp_path: Path) -> None:
    one, three = tmp_path / "one", tmp_path / "three"
    encode(recipe, gallery, one)
    for rank in (2, 0, 1):
        encode(recipe, gallery, three, rank=Rank(rank, 3))
    tokenizer = build_vision_tokenizer(recipe.vision)
    of_one, of_three = CachedLatents(one, tokenizer), CachedLatents(three, tokenizer)
    images = [
        image
        for number in range(len(gallery))
        for image in gallery.images(number)
        if Path(str(image.data)).stem != str(BROKEN)
    ]
    for image in images:
        assert torch.equal(of_one.read(image), of_three.read(image))
    with pytest.raises(UserError, match="rank 3 of 3"):
        Rank(3, 3)


COMMAND = [sys.executable, "-c", "from chiasm.cli import main; main()", "vision", "encode"]


@contextmanager
def encoding(recipe_path: Path, folder: Path) -> Iterator[subprocess.Popen]:
    """A process that encodes, and does not outlive the test."""
    options = ["--out", str(folder), "--shard-pictures", "1"]
    with subprocess.Popen(
        [*COMMAND, str(recipe_path), *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_killed_encoding_goes_on_to_the_same_bytes(
    recipe: Recipe, recipe_path: Path, gallery: Gallery, tmp_path: Path, content
) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    with encoding(recipe_path, killed) as process:
        while process.poll() is None and len(list(killed.glob("*.safetensors"))) < 3:
            time.sleep(0.001)
    assert process.returncode == -signal.SIGKILL
    found = Manifest.read(manifest_path(killed, 0, 1))
    assert not found.finished
    with pytest.raises(UserError, match=r"is not finished: rank 0 of 1"):
        check_vision(reading(recipe, killed))
    written = {file: file.stat().st_mtime_ns for file in (killed / s.file for s in found.shards)}
    encode(recipe, gallery, killed, shard_pictures=1)
    encode(recipe, gallery, whole, shard_pictures=1)
    assert {file: file.stat().st_mtime_ns for file in written} == written
    assert content(killed) == content(whole)


def test_the_same_call_again_mends_what_is_damaged(
    recipe: Recipe, gallery: Gallery, copy: Path, content
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
    recipe: Recipe, copy: Path, all_losses
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
    recipe: Recipe, copy: Path, damage: Callable[[Path, Path], object], message: str
) -> None:
    _, other, shard, *_ = sorted(copy.glob("*.safetensors"))
    damage(shard, other)
    with pytest.raises(UserError, match=f"the shard {shard} .*{message}"):
        check_vision(reading(recipe, copy))


def test_a_missing_rank_is_named(recipe: Recipe, gallery: Gallery, tmp_path: Path) -> None:
    encode(recipe, gallery, tmp_path, rank=Rank(1, 3))
    wanted = r"lacks what 2 of 3 ranks encoded \(rank-00000-of-00003.json, rank-00002"
    with pytest.raises(UserError, match=wanted):
        check_vision(reading(recipe, tmp_path))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"patch_pixels": 4}, "rows = 2 there, 4 here"),
        ({"image_pixels": 32}, "height_pixels = 16 there, 32 here"),
        ({"kind": "rae", "image_pixels": None}, "encoder = pixels there, .*embedded-world"),
    ],
)
def test_latents_of_other_settings_are_refused(
    recipe: Recipe, encoded: Path, settings: dict, message: str
) -> None:
    with pytest.raises(UserError, match="another vision tokenizer") as caught:
        check_vision(reading(recipe, encoded, **settings))
    assert caught.match(message)


def test_a_picture_that_was_not_encoded_ends_the_run(
    recipe: Recipe, encoded: Path, recipe_path: Path, tmp_path: Path, all_losses
) -> None:
    unknown = Image(np.full((16, 16, 3), 7, np.uint8), target=True)
    with pytest.raises(CacheError, match=r"lacks the latents of a picture \(pixels of shape"):
        CachedLatents(encoded, PixelTokenizer(16, 8)).read(unknown)
    folder = shutil.copytree(recipe_path.parent / "pictures", tmp_path / "pictures")
    for path in folder.glob("*.png"):
        pixels = np.random.default_rng(int(path.stem)).integers(0, 256, (16, 16, 3), np.uint8)
        PillowImage.fromarray(pixels).save(path)
    other = load_recipe(recipe_path, [f'stream.sources.pictures.path="{folder}"'])
    with pytest.raises(UserError, match=r"pictures\[\d+\]: vision\.latents = .* lacks"):
        all_losses(reading(other, encoded))


def test_a_folder_of_something_else_is_left_alone(
    recipe: Recipe, gallery: Gallery, encoded: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="shard_pictures = 9 there, 8 here"):
        encode(recipe, gallery, encoded, shard_pictures=8)
    with pytest.raises(UserError, match="something else than the latents of 2 ranks"):
        encode(recipe, gallery, encoded, rank=Rank(0, 2))
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match=r"thesis\.txt"):
        encode(recipe, gallery, tmp_path)
    with pytest.raises(UserError, match="holds no latents"):
        check_vision(reading(recipe, tmp_path))


def test_latents_beyond_the_stored_type_are_refused(tmp_path: Path) -> None:
    class Loud(PixelTokenizer):
        def encode_raw(self, images_B3HW: torch.Tensor) -> torch.Tensor:
            return super().encode_raw(images_B3HW) * 1e6

    PillowImage.new("RGB", (16, 16), "white").save(tmp_path / "white.png")
    gallery = gallery_of_folder(tmp_path)
    with pytest.raises(UserError, match=r"not finite in float16 .* --dtype float32"):
        encode_gallery(gallery, Loud(16, 8), tmp_path / "out", device=CPU)
    encode_gallery(gallery, Loud(16, 8), tmp_path / "wide", device=CPU, stored_type="float32")
