"""Latents encoded ahead of training are those of the encoder, and train alike."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

from chiasm.assembly import open_gallery
from chiasm.data.pictures import decode_picture
from chiasm.documents import Split
from chiasm.errors import UserError
from chiasm.recipe import Recipe
from chiasm.tokenizers.settings import open_tokenizer
from chiasm.tokenizers.tokenizer import Tokenizer
from chiasm.vision.cached.encoding import Encoding, Rank
from chiasm.vision.cached.gallery import Gallery, gallery_of_folder
from chiasm.vision.cached.latents import CachedLatents
from chiasm.vision.pixels import Pixels, pixel_tokenizer

CPU = torch.device("cpu")
PICTURES = 40
BROKEN = 3


@pytest.mark.slow
def test_training_from_latents_has_the_losses_of_training_from_pictures(
    recipe: Recipe, encoded: Path, all_losses, reading
) -> None:
    """A picture that cannot be decoded is passed over in both."""
    from_pictures = all_losses(recipe)
    assert sum(flow > 0 for *_, flow in from_pictures) > 4
    np.testing.assert_allclose(all_losses(reading(recipe, encoded)), from_pictures, rtol=1e-4)


@pytest.mark.parametrize(
    ("stored_type", "tolerance"), [("float32", 1e-6), ("float16", 4e-3), ("bfloat16", 3e-2)]
)
def test_latents_are_those_of_the_encoder(
    recipe: Recipe, gallery: Gallery, tmp_path: Path, stored_type: str, tolerance: float, encode
) -> None:
    encode(recipe, gallery, tmp_path, stored_type=stored_type)
    tokenizer = open_tokenizer(recipe.streams["image"])
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
            found = tokenizer.statistics.standardize(cache.read(image))
            torch.testing.assert_close(found, wanted, rtol=0, atol=tolerance)
    assert broken == 3  # a caption, a picture to draw, a question


def test_other_statistics_read_the_same_latents(recipe: Recipe, encoded: Path) -> None:
    tokenizer = pixel_tokenizer(16, 8)
    known = next(open_gallery(recipe, Split.TRAIN).images(0))
    before = CachedLatents(encoded, tokenizer).read(known)
    tokenizer.measure([torch.rand(8, 3, 16, 16)], data="noise")
    torch.testing.assert_close(CachedLatents(encoded, tokenizer).read(known), before)


def test_ranks_share_the_work(recipe: Recipe, gallery: Gallery, tmp_path: Path, encode) -> None:
    one, three = tmp_path / "one", tmp_path / "three"
    encode(recipe, gallery, one)
    for rank in (2, 0, 1):
        encode(recipe, gallery, three, rank=Rank(rank, 3))
    tokenizer = open_tokenizer(recipe.streams["image"])
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


def test_latents_beyond_the_stored_type_are_refused(tmp_path: Path) -> None:
    class Loud(Pixels):
        def features(self, images_B3HW: torch.Tensor) -> torch.Tensor:
            return super().features(images_B3HW) * 1e6

    PillowImage.new("RGB", (16, 16), "white").save(tmp_path / "white.png")
    gallery, loud = gallery_of_folder(tmp_path), Tokenizer("loud", Loud(16, 8))
    with pytest.raises(UserError, match=r"not finite in float16 .* --dtype float32"):
        Encoding(gallery, loud, tmp_path / "out").run(CPU)
    Encoding(gallery, loud, tmp_path / "wide", stored_type="float32").run(CPU)
