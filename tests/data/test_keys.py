from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from chiasm.data.keys import KEY_BYTES, picture_key
from chiasm.documents import Image
from chiasm.errors import UserError
from chiasm.rgb import Given


def key(data: Given, target: bool = False) -> bytes:
    return picture_key(Image(data, target=target))


def test_equal_content_has_equal_keys(tmp_path: Path) -> None:
    file, copy = tmp_path / "a.png", tmp_path / "b.png"
    file.write_bytes(b"a picture")
    copy.write_bytes(b"a picture")
    assert key(file) == key(copy) == key(b"a picture") == key(b"a picture", target=True)
    assert len(key(file)) == KEY_BYTES


def test_pixels_count_with_their_shape_whatever_their_memory() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    assert key(pixels) == key(pixels.copy()) == key(pixels[::-1].copy()[::-1])
    others = [key(pixels.reshape(6, 4, 3)), key(pixels[::-1]), key(pixels.tobytes())]
    assert len({key(pixels), *others}) == 4


def test_the_same_picture_has_one_key_however_it_is_given(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    file = tmp_path / "a.png"
    PillowImage.fromarray(pixels).save(file)
    content = file.read_bytes()
    assert key(str(file)) == key(file) == key(bytearray(content)) == key(memoryview(content))
    with PillowImage.open(file) as opened:
        assert key(opened) == key(PillowImage.fromarray(pixels)) == key(pixels)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.png cannot be read"):
        key(tmp_path / "gone.png")
