import base64
import io

import numpy as np
from PIL import Image

from chiasm.evaluation.evaluation import Panel, SoundPanel
from chiasm.report.pictures import EXACT_BYTES, data_uri, pixels_of
from chiasm.report.sounds import picture
from chiasm.waveform import Waveform


def opened(uri: str) -> tuple[np.ndarray, int]:
    head, content = uri.split(",", 1)
    assert head == "data:image/webp;base64"
    file = base64.b64decode(content)
    with Image.open(io.BytesIO(file)) as image:
        return np.asarray(image.convert("RGB")), len(file)


def test_pixel_art_and_masks_keep_every_pixel() -> None:
    rng = np.random.default_rng(0)
    art = rng.integers(0, 2, (32, 32, 3), dtype=np.uint8) * 255
    mask = np.zeros((150, 192, 3), np.uint8)
    mask[40:90, 30:160] = (255, 0, 255)
    noise = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    for pixels in (art, mask, noise):
        shown, size = opened(data_uri(pixels))
        assert np.array_equal(shown, pixels)
        assert size <= EXACT_BYTES


def test_a_photograph_stays_small_and_recognizable() -> None:
    rows, columns = np.mgrid[:192, :192]
    smooth = 128 + 90 * np.sin(rows / 20) * np.cos(columns / 30)
    grain = np.random.default_rng(0).normal(0, 4, (192, 192, 3))
    pixels = (smooth[..., None] + grain).clip(0, 255).astype(np.uint8)
    shown, size = opened(data_uri(pixels))
    assert size < 16_000  # 100 kB without loss
    assert np.abs(shown.astype(float) - pixels).mean() < 5


def test_the_picture_of_a_sound_stands_where_pictures_stand() -> None:
    pixels, sound = np.zeros((8, 8, 3), np.uint8), Waveform(np.ones(800), 8000)
    assert pixels_of(Panel("drawn", pixels)) is pixels
    assert np.array_equal(pixels_of(SoundPanel("made", sound)), picture(sound))
