"""What a user gives a model in Python, and gets of it: texts, pictures, sounds, arrays."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from PIL import Image as PillowImage

from chiasm.documents import Document, Image, Sound, Span, Text
from chiasm.errors import UserError
from chiasm.rgb import Given
from chiasm.waveform import Waveform

Picture = Given | Image
Part = str | Picture | Waveform | Span
"""A piece of a prompt: a string is text, and the path of a picture must be a ``Path``."""
Prompt = Part | tuple[Part, ...] | Document
Output = str | PillowImage.Image | Waveform | np.ndarray
"""A text, a picture, a sound, or an item of another stream."""

One = TypeVar("One")


def lists(**given: Any) -> list[list[Any]]:
    """Returns each argument as a list, all of one length: single values are repeated."""
    lengths = {name: len(own) for name, own in given.items() if isinstance(own, list)}
    for name, length in lengths.items():
        if not length:
            raise UserError("is empty", setting=name, remedy="give one or more")
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{length} {name}" for name, length in lengths.items())
        raise UserError(f"there are {told}; give as many of each, or one for all")
    count = max(lengths.values(), default=1)
    return [own if isinstance(own, list) else [own] * count for own in given.values()]


def like(given: Any, found: list[One]) -> list[One] | One:
    """Returns a list for a list, and its first element for a single value."""
    return found if isinstance(given, list) else found[0]


def spans(prompt: Prompt) -> tuple[Span, ...]:
    """Returns the spans of a prompt, all items as context."""
    if isinstance(prompt, Document):
        return prompt.spans
    parts = prompt if isinstance(prompt, tuple) else (prompt,)
    return tuple(_span(part) for part in parts)


def _span(part: Part) -> Span:
    if isinstance(part, Span):
        return part
    if isinstance(part, Waveform):
        return Sound(part, target=False)
    return Text(part) if isinstance(part, str) else image(part)


def image(picture: Picture) -> Image:
    """Returns a picture as context."""
    return picture if isinstance(picture, Image) else Image(picture, target=False)


def output(span: Span) -> Output:
    """Returns a generated span as a user has it."""
    if isinstance(span, Text):
        return span.text
    return PillowImage.fromarray(span.pixels()) if isinstance(span, Image) else span.data
