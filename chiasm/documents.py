"""Everything a model reads is a :class:`Document`: an ordered list of spans.

A span is text, or continuous data of a named stream; there are no other kinds: a picture is an item
of the stream ``image``, a sound one of the stream ``sound``. A caption pair is [Image, Text] or
[Text, Image]; a video is [Image, Image, ...]; an action step is [Image, Text, Image]; a question is
[Image, Text, Text]: question and answer are two spans, so that no code has to parse words. Where
several continuations are possible the text names its task in words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

import numpy as np

from chiasm import rgb, waveform


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of text; adjacent pieces are equivalent to one string."""

    text: str
    prompt: bool = field(default=False, compare=False)
    """Whether it asks for the text behind it: a source whose loss is on answers alone does not
    teach to write it. Texts that read alike are equal."""


@dataclass(frozen=True, slots=True)
class Continuous:
    """An item of a named stream of continuous data: a picture, a sound, a series.

    ``data`` is whatever the stream's tokenizer reads (a path, bytes, an array, the frame of a file,
    ...) and is decoded only when its row is due.
    """

    data: Any
    target: bool
    """Role of the item: a target is noised and has a flow loss, context is clean (flow time 1) and
    has none."""
    stream: str


class Image(Continuous):
    """A picture: a file that is not decoded yet, or pixels.

    ``data`` is a path, also as a string; the bytes of an encoded file; pixels in an array, [H, W]
    or [H, W, C]; a PIL picture; or a :class:`~chiasm.video.frame.VideoFrame`. :mod:`chiasm.rgb`
    defines how each becomes RGB.

    Raises:
        UserError: ``data`` is none of these, or its pixels are no picture.
    """

    __slots__ = ()

    def __init__(self, data: rgb.Given, target: bool, stream: str = "image") -> None:
        # Whatever was given, a path, the bytes of an encoded file or uint8 [H, W, 3] is stored.
        Continuous.__init__(self, rgb.held(data), target, stream)

    def pixels(self) -> np.ndarray:
        """Returns uint8 [H, W, 3], upright, on white; of several frames the first.

        :mod:`chiasm.rgb` has the rule for values of other types.

        Raises:
            UserError: it cannot be read or decoded, or its range of values is not known.
        """
        return rgb.decoded(self.data)


class Sound(Continuous):
    """A sound: a file or a part of one, not decoded yet, or samples with their rate.

    ``data`` is a path, also as a string; the bytes of an encoded file; a
    :class:`~chiasm.waveform.Waveform`; a :class:`~chiasm.waveform.Segment`; or a
    :class:`~chiasm.video.heard.VideoSound`.
    :mod:`chiasm.waveform` defines how each becomes samples.

    Raises:
        UserError: ``data`` is none of these.
    """

    __slots__ = ()

    def __init__(self, data: waveform.Given, target: bool, stream: str = "sound") -> None:
        Continuous.__init__(self, waveform.held(data), target, stream)

    def samples(self, rate: int, channels: int = 1) -> np.ndarray:
        """Returns float32 [channels, T] at a rate, of 1 or 2 channels.

        Raises:
            UserError: it cannot be read or decoded, or is refused.
        """
        return waveform.decoded(self.data, rate, channels)


Span = Text | Continuous


@dataclass(frozen=True, slots=True)
class Document:
    """An ordered list of spans, which occupy consecutive positions of a row.

    Raises:
        TypeError: it holds anything else.
    """

    spans: tuple[Span, ...]

    def __post_init__(self) -> None:
        if isinstance(self.spans, (str, Text, Continuous)):
            raise TypeError(f'spans are no tuple but {self.spans!r:.40}; write (Text("a door"),)')
        for number, span in enumerate(self.spans):
            is_text = isinstance(span, Text) and isinstance(span.text, str)
            if not is_text and not isinstance(span, Continuous):
                told = "write a Text of a str, an Image or a Continuous"
                raise TypeError(f"span {number} is {span!r:.40}; {told}")

    @property
    def items(self) -> Iterator[Continuous]:
        """Spans of continuous data, in order."""
        return (span for span in self.spans if isinstance(span, Continuous))

    @property
    def images(self) -> Iterator[Image]:
        """Spans that are pictures, in order."""
        return (span for span in self.spans if isinstance(span, Image))

    @property
    def text(self) -> str:
        """Concatenation of all text spans."""
        return "".join(span.text for span in self.spans if isinstance(span, Text))


PICTURE_PROMPT, CAPTION_PROMPT = "picture:", "caption:"
"""What stands before the words that a picture is drawn by, and before those about one."""


NEXT_QUESTION = "\nquestion: "
"""Begin of the next question, which ends an answer inside a document."""


QUESTION = "{question}"
"""Where the question stands in a template."""
TEMPLATE = f"question: {QUESTION} answer:"
"""Usual form of a question's prompt."""


def question_prompt(question: str, template: str = TEMPLATE) -> str:
    """Returns the text prompt of a question."""
    return template.replace(QUESTION, question)


def question_spans(question: str, answer: str, template: str = TEMPLATE) -> tuple[Text, Text]:
    """Returns the prompt of a question, and its answer as it follows the prompt."""
    return Text(question_prompt(question, template), prompt=True), Text(f" {answer}\n")


class Split(StrEnum):
    """The two disjoint sides of a source."""

    TRAIN = "train"
    HELD_OUT = "held_out"


class Source(Protocol):
    """A named sequence of documents of one kind, with random access and a length.

    ``source[i]`` depends on ``i`` alone and not on earlier reads, so that the order, the mixture
    and a resumed run are functions of (seed, position).
    """

    name: str

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Document: ...


@runtime_checkable
class Varied(Protocol):
    """A source whose documents may have several forms: a picture with five captions."""

    varied: bool
    """Whether any document has several forms."""

    def variant(self, index: int, turn: int) -> Document:
        """Returns a document in one of its forms; consecutive turns go through all of them."""
