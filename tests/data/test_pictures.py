import io

import numpy as np
import pytest
import torch
from PIL import ExifTags
from PIL import Image as PillowImage

from chiasm.data.pictures import decode_picture
from chiasm.documents import Image
from chiasm.errors import UserError
from chiasm.rgb import ImageShape


def test_the_right_size_passes_through(made):
    pixels = made.picture(1)
    pixels.setflags(write=False)  # as memory-mapped frames are
    picture = decode_picture(Image(pixels, target=True), made.shape)
    assert picture.dtype == torch.uint8
    assert torch.equal(picture, torch.tensor(pixels).permute(2, 0, 1))


def test_a_wide_picture_is_cropped_to_its_centre():
    pixels = np.zeros((20, 60, 3), np.uint8)
    pixels[:, 20:40] = (200, 100, 50)
    picture = decode_picture(Image(pixels, target=True), ImageShape(10, 10, 1, 1))
    assert picture.shape == (3, 10, 10)
    inside = picture[:, :, 2:-2].float()
    assert (inside - torch.tensor([200.0, 100, 50])[:, None, None]).abs().max() <= 2


def test_the_shape_may_be_oblong():
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[15:25] = 255
    picture = decode_picture(Image(pixels, target=True), ImageShape(10, 40, 1, 1))
    assert picture.shape == (3, 10, 40)
    assert picture.min() == 255


@pytest.mark.parametrize("size", [(1, 3000), (3000, 1), (1, 1)])
def test_extreme_pictures_become_small(size, made):
    picture = decode_picture(Image(np.full((*size, 3), 7, np.uint8), target=True), made.shape)
    assert picture.shape == (3, 8, 8)
    assert (picture == 7).all()


def test_one_picture_is_one_thing_however_it_is_given(tmp_path):
    """Turned as its EXIF data says before it is cut to shape."""
    stored = np.zeros((40, 80, 3), np.uint8)
    stored[:, :40] = 255  # white on the left, which viewers show above
    exif = PillowImage.Exif()
    exif[ExifTags.Base.Orientation] = 6
    path = tmp_path / "room.jpg"
    PillowImage.fromarray(stored).save(path, exif=exif, quality=95)
    upright = np.rot90(stored, -1)
    shape = ImageShape(16, 8, 1, 1)
    expected = decode_picture(Image(upright, target=True), shape).int()
    with PillowImage.open(path) as opened:
        content = path.read_bytes()
        for data in (path, str(path), content, bytearray(content), memoryview(content), opened):
            picture = decode_picture(Image(data, target=True), shape)
            assert (picture.int() - expected).abs().max() <= 6


def test_broken_files_are_refused(made, tmp_path):
    whole = made.picture_file(0, (64, 64))
    for data in (b"", b"not a picture", whole[:200]):
        with pytest.raises(UserError, match="cannot be decoded"):
            decode_picture(Image(data, target=True), made.shape)
    with pytest.raises(UserError, match=r"missing\.png does not exist"):
        decode_picture(Image(tmp_path / "missing.png", target=True), made.shape)


def test_a_bomb_is_refused(made, monkeypatch):
    file = io.BytesIO()
    PillowImage.new("1", (200, 200)).save(file, "PNG")
    monkeypatch.setattr(PillowImage, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(UserError, match="cannot be decoded"):
        decode_picture(Image(file.getvalue(), target=True), made.shape)
