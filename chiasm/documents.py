"""Everything a model reads is a :class:`Document`: an ordered list of text and image spans.

Nothing downstream knows more kinds than these two. A caption pair is [Image, Text] or
[Text, Image]; a video is [Image, Image, ...]; an action step is [Image, Text, Image]; a question
is [Image, Text]. Where several continuations are possible the text names its task in words.
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
        """Decode to uint8 [H, W, 3]; grey, palette and alpha pictures become RGB on white."""
        if isinstance(self.data, np.ndarray):
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
