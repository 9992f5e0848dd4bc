"""All images of some sources, whether context or target, as a numbered list.

A number stands for what is read together: a document, or a frame of a source whose many documents
show the same few frames (:class:`~chiasm.capabilities.Framed`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image as PillowImage
from torch import Tensor

from chiasm.capabilities import Framed
from chiasm.data.pictures import decode_picture
from chiasm.documents import Image, Source
from chiasm.errors import UserError
from chiasm.rgb import ImageShape

Item = TypeVar("Item")

PICTURES_AT_ONCE = 64
"""Number of images that are encoded together."""

_THREADS = 8
"""Number of decoding threads; Pillow releases the interpreter lock while it decodes."""
_AHEAD = 128
"""Number of images that they may be ahead of the encoder."""


@dataclass(frozen=True)
class Part:
    """The images of one source: ``images(number)`` for numbers from 0 to ``length`` - 1."""

    length: int
    images: Callable[[int], Iterable[Image]]
    shown_as: frozenset[bool] | None = None
    """For frames, the values of ``Image.target`` in the documents of all sources; None for other
    images, which have their own.
    """

    def playing(self, parts: frozenset[bool]) -> Part:
        """Returns images with one of these values of ``target``; of frames, all or none."""
        if self.shown_as is None:
            return replace(
                self, images=lambda number: (i for i in self.images(number) if i.target in parts)
            )
        return self if self.shown_as & parts else replace(self, length=0)


class Gallery:
    """Images by number, over all parts in their order."""

    def __init__(self, parts: Mapping[str, Part]) -> None:
        self.parts = dict(parts)
        self._begins = np.cumsum([0, *(part.length for part in parts.values())])

    def playing(self, parts: frozenset[bool]) -> Gallery:
        """Returns the images with one of these values of ``target``: True drawn, False only seen.

        Numbers stand for the same documents, without their other images. A world's frames all have
        every value that one of its sources shows frames with.
        """
        return Gallery({name: part.playing(parts) for name, part in self.parts.items()})

    def __len__(self) -> int:
        return int(self._begins[-1])

    def images(self, number: int) -> Iterator[Image]:
        """Yields the images of a number; none where its document cannot be read."""
        part = int(np.searchsorted(self._begins, number, side="right")) - 1
        try:
            yield from list(self.parts.values())[part].images(number - int(self._begins[part]))
        except (UserError, OSError, ValueError):
            return  # the stream passes over it as well, counts it and says why


def gallery_of(sources: Mapping[str, Source]) -> Gallery:
    """Returns all images of these sources; frames once, however many sources show them."""
    parts: dict[str, Part] = {}
    for name, source in sources.items():
        if isinstance(source, Framed):
            key = source.frames_name or name
            elsewhere = parts[key].shown_as if key in parts else None
            shown_as = source.shown_as | (elsewhere or frozenset())
            parts[key] = Part(source.num_frames, partial(_frame, source), shown_as)
        else:
            parts[name] = Part(len(source), partial(_shown, source))
    return Gallery(parts)


def gallery_of_folder(folder: Path) -> Gallery:
    """Returns the image files under a folder, in the order of their paths.

    Raises:
        UserError: it holds none.
    """
    known = PillowImage.registered_extensions()
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in known)
    if not files:
        raise UserError(f"{folder} holds no picture files; give a folder that does")
    part = Part(len(files), lambda number: [Image(files[number], target=False)])
    return Gallery({str(folder): part})


def decoded(
    images: Iterable[tuple[Item, Image]], shape: ImageShape
) -> Iterator[list[tuple[Item, Tensor | UserError]]]:
    """Yields batches of images at the shape's size, uint8 [3, H, W], or why they cannot be decoded.

    Threads decode some pictures ahead of the batch that is asked for; the order is kept.
    """
    images = iter(images)
    waiting: deque[tuple[Item, Future[Tensor | UserError]]] = deque()
    with ThreadPoolExecutor(_THREADS) as threads:
        while True:
            # Refilled before a batch is taken, so that the threads decode while the caller encodes.
            for item, image in islice(images, _AHEAD + PICTURES_AT_ONCE - len(waiting)):
                waiting.append((item, threads.submit(_decode, image, shape)))
            if not waiting:
                return
            count = min(PICTURES_AT_ONCE, len(waiting))
            first = [waiting.popleft() for _ in range(count)]
            yield [(item, future.result()) for item, future in first]


def _decode(image: Image, shape: ImageShape) -> Tensor | UserError:
    try:
        return decode_picture(image, shape)
    except UserError as error:
        return error


def _frame(source: Framed, number: int) -> Iterable[Image]:
    return [source.picture(number)]


def _shown(source: Source, number: int) -> Iterable[Image]:
    return source[number].images
