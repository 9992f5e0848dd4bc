"""Everything a model reads is a :class:`Document`: an ordered list of text and image spans.

Nothing downstream knows more kinds than these two. A caption pair is [Image, Text] or
[Text, Image]; a video is [Image, Image, ...]; an action step is [Image, Text, Image]; a question
is [Image, Text, Text]: what is asked and what is answered are two spans, so that nobody has to
parse words. Where several continuations are possible the text names its task in words.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from PIL import Image as PillowImage
from PIL import UnidentifiedImageError

from chiasm.errors import UserError
from chiasm.poses import Pose


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of text; adjacent pieces read as if they were one string."""

    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """One picture, not yet decoded.

    ``data`` is a path, the bytes of an encoded file, or uint8 pixels [H, W, 3].
    ``target`` says which part the picture plays: a target is noised and has a flow loss, a
    context picture enters clean (flow time 1) and has none.
    """

    data: Path | bytes | np.ndarray
    target: bool

    def pixels(self) -> np.ndarray:
        """Decode to uint8 [H, W, 3]; grey, palette and alpha pictures become RGB on white.

        Raises:
            UserError: it cannot be decoded, or its array is not uint8 [H, W, 3].
        """
        if isinstance(self.data, np.ndarray):
            shape, kind = self.data.shape, self.data.dtype
            if len(shape) != 3 or shape[2] != 3 or kind != np.uint8 or not self.data.size:
                raise UserError(f"picture of shape {shape} and {kind} is not RGB in uint8")
            return self.data
        name = f"{len(self.data)} bytes" if isinstance(self.data, bytes) else str(self.data)
        file = io.BytesIO(self.data) if isinstance(self.data, bytes) else self.data
        try:
            with PillowImage.open(file) as picture:
                picture.load()
                return np.array(_rgb(picture))
        except UnidentifiedImageError as error:
            raise UserError(f"picture {name} cannot be decoded: no known format") from error
        except Exception as error:  # broken bytes make the decoders raise almost anything
            raise UserError(f"picture {name} cannot be decoded: {error}") from error


def _rgb(picture: PillowImage.Image) -> PillowImage.Image:
    if picture.mode.startswith("I;16"):  # convert("RGB") would clip at 255
        picture = PillowImage.fromarray((np.array(picture) >> 8).astype(np.uint8))
    if "A" in picture.getbands() or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        white = PillowImage.new("RGBA", picture.size, "white")
        picture = PillowImage.alpha_composite(white, picture)
    return picture.convert("RGB")


@dataclass(frozen=True, slots=True)
class Document:
    """An ordered, non-empty list of spans that one row position after another will hold."""

    spans: tuple[Text | Image, ...]

    @property
    def images(self) -> Iterator[Image]:
        """The image spans, in order."""
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


class Source(Protocol):
    """A named stream of documents of one kind: random access and counted.

    ``source[i]`` depends on ``i`` alone, never on what was read before, so that the order, the
    mixture and a resumed run are functions of (seed, position).
    """

    name: str

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Document: ...


@runtime_checkable
class Clustered(Protocol):
    """A source that knows which of its documents belong together."""

    def cluster_of(self, index: int) -> int:
        """What documents share that are not independent: the cluster of standard errors."""


@runtime_checkable
class ActionVideos(Source, Protocol):
    """A source whose frames lie on walks with known poses, so that any step can be told."""

    @property
    def walks(self) -> Sequence[range]:
        """Frame numbers of each walk in order of time, one step of the source apart."""

    def picture(self, frame: int) -> Image:
        """One frame, as context."""

    def action(self, before: int, after: int) -> str:
        """The text of the action between two frames of one walk."""

    def pose(self, frame: int) -> Pose:
        """Where one frame was taken."""

    def place_of(self, frame: int) -> int:
        """What frames of one place share: the cluster of standard errors."""
