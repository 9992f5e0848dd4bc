"""Files that a page sends, as the model reads them."""

import io

import numpy as np
import pytest
import soundfile
from PIL import Image as PillowImage

from chiasm.demo import uploads
from chiasm.documents import Sound
from chiasm.errors import UserError
from chiasm.inference.pretrained import Pretrained
from chiasm.waveform import Waveform


def file_of(samples: np.ndarray, rate: int, format_: str = "WAV") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=format_)
    return buffer.getvalue()


def test_a_picture_becomes_what_the_tokenizer_reads(heard: Pretrained) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (31, 50, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    PillowImage.fromarray(pixels).save(buffer, "PNG")
    image = uploads.picture(heard, buffer.getvalue(), "noise.png")
    assert image.pixels().shape == (8, 8, 3)
    vision = heard.vision_tokenizer
    assert (vision.read(image.data) == vision.read(buffer.getvalue())).all()


def test_a_picture_that_is_cut_off_is_named(heard: Pretrained) -> None:
    """Its header is whole, so that only decoding it tells."""
    buffer = io.BytesIO()
    PillowImage.new("RGB", (40, 30), "red").save(buffer, "PNG")
    with pytest.raises(UserError, match=r"picture half\.png cannot be decoded"):
        uploads.picture(heard, buffer.getvalue()[:60], "half.png")


@pytest.mark.parametrize("format_", ["WAV", "FLAC", "OGG"])
def test_of_a_longer_sound_the_first_item_is_read(heard: Pretrained, format_: str) -> None:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 22_050).astype(np.float32)
    content = file_of(samples, 22_050, format_)
    sound = uploads.sound(heard, content, "noise")
    assert isinstance(sound.data, Waveform)
    assert sound.data.samples_CT.shape == (1, 1600)
    whole = Sound(content, target=False).samples(8000)
    np.testing.assert_allclose(sound.data.samples_CT, whole[:, :1600], atol=1e-5)


def test_a_short_sound_is_followed_by_silence(heard: Pretrained) -> None:
    sound = uploads.sound(heard, file_of(np.full(400, 0.5), 8000), "click.wav")
    assert (sound.data.samples_CT[0, 400:] == 0).all()
    assert abs(sound.data.samples_CT[0, 100:300] - 0.5).max() < 1e-3


def test_what_is_no_sound_or_too_long_is_refused(heard: Pretrained, model: Pretrained) -> None:
    hour = file_of(np.zeros(3600 * 8000, np.float32), 8000, "FLAC")
    with pytest.raises(UserError, match=r"sound hour\.flac has 3,600 seconds; give 600 at most"):
        uploads.sound(heard, hour, "hour.flac")
    with pytest.raises(UserError, match=r"sound notes\.wav cannot be decoded"):
        uploads.sound(heard, b"no sound at all", "notes.wav")
    with pytest.raises(UserError, match="no stream 'sound'"):
        uploads.sound(model, hour, "hour.flac")
