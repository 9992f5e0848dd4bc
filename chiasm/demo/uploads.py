"""Pictures and sounds that a page sends, read to what the model's tokenizers take.

A file is judged by its header before it is decoded, and becomes pixels of the model's size, or the
samples of one item: what waits in the queue is small, and the engine's thread decodes no files.
"""

from __future__ import annotations

from chiasm.batch.streams import IMAGE
from chiasm.documents import Image, Sound
from chiasm.errors import UserError
from chiasm.inference.pretrained import Pretrained
from chiasm.sound.settings import SOUND, shape_of_sounds
from chiasm.tokenizers.tokenizer import Tokenizer
from chiasm.walk.starts import useful_picture
from chiasm.waveform import Segment, Waveform, measured

MOST_SOUND_SECONDS = 600.0
"""Longest sound of a file, of which the first item is read."""


def picture(pretrained: Pretrained, encoded: bytes, name: str) -> Image:
    """Returns a picture file's content as the model reads it.

    Raises:
        UserError: it is no picture, or too large or too small; the model reads none.
    """
    tokenizer = _reader(pretrained, IMAGE)
    pixels_3HW = tokenizer.read(useful_picture(encoded, name))
    return Image(pixels_3HW.permute(1, 2, 0).contiguous().numpy(), target=False)


def sound(pretrained: Pretrained, encoded: bytes, name: str) -> Sound:
    """Returns a sound file's content as the model reads it: as much of it as one item holds.

    Raises:
        UserError: it is no sound, or too long; the model reads none.
    """
    tokenizer = _reader(pretrained, SOUND)
    shape, length = shape_of_sounds(tokenizer.encoder), measured(encoded, name)
    if length.seconds > MOST_SOUND_SECONDS:
        raise UserError(
            f"sound {name} has {length.seconds:,.0f} seconds; give {MOST_SOUND_SECONDS:g} at most"
        )
    if shape is None:
        raise UserError(f"the tokenizer {tokenizer.name} does not say how long its sounds are")
    end = min(length.samples, round(shape.seconds * length.rate))
    samples_AT = tokenizer.read(Segment(encoded, 0, end)).numpy()
    return Sound(Waveform(samples_AT, shape.rate), target=False)


def _reader(pretrained: Pretrained, stream: str) -> Tokenizer:
    """Returns the tokenizer that reads a stream's items as context.

    Raises:
        UserError: the model has no such stream.
    """
    reading = pretrained.decoder.shapes.reading(stream, target=False)
    return pretrained.tokenizers[reading.name]
