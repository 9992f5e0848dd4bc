"""What a tokenizer learns from: captioned pictures, with ground truth where a source has it.

Shape suffixes: M pictures, H and W height and width in pixels, P cells of the latent grid, K kinds
of objects.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from chiasm.data.batch import ImageShape
from chiasm.data.pictures import decode_picture
from chiasm.documents import Source
from chiasm.errors import UserError


@dataclass(frozen=True)
class Box:
    """Where an object is seen: fractions of the picture's height and width, from the top left."""

    name: str
    top: float
    left: float
    bottom: float
    right: float


@dataclass(frozen=True)
class Pictures:
    """M square pictures with their captions; facts and boxes are extras that may be absent."""

    pixels_MHW3: np.ndarray
    """uint8; may be memory-mapped."""
    captions: Sequence[tuple[str, ...]]
    """For each picture, one or more captions that say what it shows."""
    data: str
    """Names the data for the record."""
    facts: Sequence[Mapping[str, str]] | None = None
    """For each picture, attribute -> value, e.g. wall -> brick; an attribute may be missing."""
    boxes: Sequence[tuple[Box, ...]] | None = None
    """For each picture, the objects that are seen in it."""

    def __len__(self) -> int:
        return len(self.pixels_MHW3)

    def select(self, numbers: np.ndarray) -> Pictures:
        """These pictures only, in this order."""
        return Pictures(
            self.pixels_MHW3[numbers],
            [self.captions[number] for number in numbers],
            self.data,
            self.facts and [self.facts[number] for number in numbers],
            self.boxes and [self.boxes[number] for number in numbers],
        )

    @property
    def object_names(self) -> tuple[str, ...]:
        """K: the kinds of objects that any box names, sorted."""
        boxes = self.boxes or ()
        return tuple(sorted({box.name for of_one in boxes for box in of_one}))

    def fact_values(self) -> dict[str, tuple[str, ...]]:
        """Every attribute and its values, sorted; attributes with one value are left out."""
        values: dict[str, set[str]] = {}
        for of_one in self.facts or ():
            for attribute, value in of_one.items():
                values.setdefault(attribute, set()).add(value)
        return {name: tuple(sorted(found)) for name, found in sorted(values.items()) if found}


def covered_cells(boxes: Sequence[Box], names: Sequence[str], side: int) -> np.ndarray:
    """float32 [P, K]: how much of the smaller of (cell, box) the two share, for each object kind.

    ``side`` cells stand in a row and a column. A small object inside one cell counts as 1 there,
    and so does a cell that a large object fills.
    """
    covered = np.zeros((side, side, len(names)), dtype=np.float32)
    edges = np.arange(side + 1) / side
    for box in boxes:
        if box.name not in names:
            continue
        rows = np.minimum(box.bottom, edges[1:]) - np.maximum(box.top, edges[:-1])
        columns = np.minimum(box.right, edges[1:]) - np.maximum(box.left, edges[:-1])
        shared = np.clip(rows, 0, None)[:, None] * np.clip(columns, 0, None)[None, :]
        smaller = min((box.bottom - box.top) * (box.right - box.left), 1 / side**2)
        kind = names.index(box.name)
        covered[..., kind] = np.maximum(covered[..., kind], shared / max(smaller, 1e-9))
    return np.minimum(covered, 1).reshape(side * side, len(names))


def pictures_of_source(source: Source, image_pixels: int, *, data: str) -> Pictures:
    """The first picture and all the text of each document of an image-text source.

    A picture that several documents show appears once, with all their captions. Documents without
    a picture or without text are passed over.

    Raises:
        UserError: no document has both.
    """
    shape = ImageShape(image_pixels, image_pixels, 1, 1)
    pixels: list[np.ndarray] = []
    captions: list[list[str]] = []
    known: dict[bytes, int] = {}
    for number in range(len(source)):
        document = source[number]
        picture = next(document.images, None)
        caption = document.text.strip()
        if picture is None or not caption:
            continue
        shown = decode_picture(picture, shape).permute(1, 2, 0).contiguous().numpy()
        place = known.setdefault(hashlib.sha256(shown.tobytes()).digest(), len(pixels))
        if place == len(pixels):
            pixels.append(shown)
            captions.append([])
        captions[place].append(caption)
    if not pixels:
        raise UserError(
            f"the source {source.name!r} ({data}) has no document with a picture and a text "
            f"among its {len(source)}; a vision tokenizer learns from image-text pairs"
        )
    return Pictures(np.stack(pixels), [tuple(of_one) for of_one in captions], data)
