"""Everything a model reads is a :class:`Document`: an ordered list of spans.

A span is text, or continuous data of a named stream; nothing downstream knows more kinds than these
two, and a picture is one of the stream ``image``. A caption pair is [Image, Text] or
[Text, Image]; a video is [Image, Image, ...]; an action step is [Image, Text, Image]; a question
is [Image, Text, Text]: what is asked and what is answered are two spans, so that nobody has to
parse words. Where several continuations are possible the text names its task in words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

import numpy as np

from chiasm.rgb import Given, decoded, held


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of text; adjacent pieces read as if they were one string."""

    text: str


@dataclass(frozen=True, slots=True)
class Continuous:
    """One item of a named stream of continuous data: a picture, a sound, a series.

    Its payload is whatever the stream's tokenizer reads (a path, bytes, an array, the frame of a
    file, ...) and is decoded when its row is due, not before.
    """

    data: Any
    target: bool
    """Which role it plays: a target is noised and has a flow loss, context enters clean (flow time
    1) and has none."""
    stream: str


class Image(Continuous):
    """One picture: a file that is not yet decoded, or pixels.

    ``data`` is a path, also as a string; the bytes of an encoded file; pixels in an array, [H, W]
    or [H, W, C]; or a PIL picture. :mod:`chiasm.rgb` says how each becomes RGB.

    Raises:
        UserError: ``data`` is nothing of these, or holds pixels that are no picture.
    """

    __slots__ = ()

    def __init__(self, data: Given, target: bool, stream: str = "image") -> None:
        # A path, the bytes of an encoded file, or uint8 pixels [H, W, 3], whatever was given.
        Continuous.__init__(self, held(data), target, stream)

    def pixels(self) -> np.ndarray:
        """uint8 [H, W, 3], upright, on white; of several frames the first.

        :mod:`chiasm.rgb` has the rule for values of other types.

        Raises:
            UserError: it cannot be read or decoded, or its range of values is not known.
        """
        return decoded(self.data)


Span = Text | Continuous


@dataclass(frozen=True, slots=True)
class Document:
    """An ordered, non-empty list of spans that one row position after another will hold.

    Raises:
        TypeError: it holds something else.
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
        """The spans that are no text, in order."""
        return (span for span in self.spans if isinstance(span, Continuous))

    @property
    def images(self) -> Iterator[Image]:
        """The spans that are pictures, in order."""
        return (span for span in self.spans if isinstance(span, Image))

    @property
    def text(self) -> str:
        """All text spans joined."""
        return "".join(span.text for span in self.spans if isinstance(span, Text))


NEXT_QUESTION = "\nquestion: "
"""Where an answer is over that no end of a document follows: the next question begins."""


def question_prompt(question: str) -> str:
    """What a model is given that shall answer a question."""
    return f"question: {question} answer:"


def question_spans(question: str, answer: str) -> tuple[Text, Text]:
    """The prompt of a question, and its answer as it follows the prompt."""
    return Text(question_prompt(question)), Text(f" {answer}\n")


class Split(StrEnum):
    """The two sides of a source, which share nothing."""

    TRAIN = "train"
    HELD_OUT = "held_out"


class Source(Protocol):
    """A named stream of documents of one kind: random access and counted.

    ``source[i]`` depends on ``i`` alone, never on what was read before, so that the order, the
    mixture and a resumed run are functions of (seed, position).
    """

    name: str

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Document: ...


@runtime_checkable
class Varied(Protocol):
    """A source whose documents may have several forms: a picture with five captions."""

    varied: bool
    """Whether any has."""

    def variant(self, index: int, turn: int) -> Document:
        """Returns a document in one of its forms; turn after turn gives all of them."""
