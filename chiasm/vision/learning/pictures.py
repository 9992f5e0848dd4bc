"""Training data of a tokenizer: images, with captions and ground truth where a source has them.

Shape suffixes: M images, B of them, H and W height and width in pixels, P cells of the latent grid,
K kinds of objects.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from chiasm.capabilities import Labelled
from chiasm.data.pictures import decode_picture
from chiasm.data.reading import ReadingLog
from chiasm.documents import Source
from chiasm.errors import UserError, setting, settings_of
from chiasm.ranks import ALONE, Ranks
from chiasm.rgb import ImageShape
from chiasm.tokenizers.statistics import LatentStatistics
from chiasm.tokenizers.tokenizer import Tokenizer
from chiasm.vision.learning.settings import TokenizerTrainingSettings
from chiasm.vision.tokenizer import as_floats

_MOST_OBJECTS = 4
"""Largest number of objects that is a fact of its own; more count as this many."""


@dataclass(frozen=True)
class Box:
    """Position of an object: fractions of the image's height and width, from the top left."""

    name: str
    top: float
    left: float
    bottom: float
    right: float


@dataclass(frozen=True)
class Pictures:
    """M square images; facts and boxes are extras that may be absent."""

    pixels_MHW3: np.ndarray
    """uint8 pixels; may be memory-mapped."""
    captions: Sequence[tuple[str, ...]]
    """Captions of each image: none, one or more."""
    data: str
    """Names the data for the record."""
    facts: Sequence[Mapping[str, str]] | None = None
    """For each image, attribute -> value, e.g. wall -> brick; an attribute may be missing."""
    boxes: Sequence[tuple[Box, ...]] | None = None
    """For each image, its visible objects."""
    content: str = ""
    """Hash of pixels and captions, where ``data`` does not determine them."""
    unreadable: tuple[str, ...] = ()
    """Message on each image that could not be decoded and is left out."""

    def __len__(self) -> int:
        return len(self.pixels_MHW3)

    def select(self, numbers: np.ndarray) -> Pictures:
        """Returns these images only, in this order."""
        return replace(
            self,
            pixels_MHW3=self.pixels_MHW3[numbers],
            captions=[self.captions[number] for number in numbers],
            facts=self.facts and [self.facts[number] for number in numbers],
            boxes=self.boxes and [self.boxes[number] for number in numbers],
        )

    def batch(self, numbers: np.ndarray, device: torch.device | str = "cpu") -> Tensor:
        """Returns these images as float32 [B, 3, H, W] in [0, 1]."""
        pixels = torch.from_numpy(np.ascontiguousarray(self.pixels_MHW3[numbers])).to(device)
        return as_floats(pixels.permute(0, 3, 1, 2).contiguous())

    def batches(
        self, most: int, device: torch.device | str = "cpu", ranks: Ranks = ALONE
    ) -> Iterator[Tensor]:
        """Yields all images in order, at most ``most`` at once; to each rank a share of these."""
        for first in range(ranks.rank * most, len(self), ranks.size * most):
            yield self.batch(np.arange(first, min(first + most, len(self))), device)

    def spread(self, most: int) -> Pictures:
        """Returns at most ``most`` of the images, evenly spread."""
        total = len(self)
        return self if total <= most else self.select(np.arange(most) * total // most)

    def pixel_variance(self) -> float:
        """Returns the variance of the pixels, in [0, 1], of up to 1,000 evenly spread images."""
        step = max(1, len(self) // 1000)
        return max(float((self.pixels_MHW3[::step] / 255.0).var()), 1e-6)

    def fact_values(self) -> dict[str, tuple[str, ...]]:
        """Returns every attribute and its values, both sorted."""
        values: dict[str, set[str]] = {}
        for of_one in self.facts or ():
            for attribute, value in of_one.items():
                values.setdefault(attribute, set()).add(value)
        return {name: tuple(sorted(found)) for name, found in sorted(values.items())}


def covered_cells(boxes: Sequence[Box], names: Sequence[str], side: int) -> np.ndarray:
    """Returns how much of the smaller of (cell, box) the two share, by object kind: float32 [P, K].

    There are ``side`` cells in a row and a column. A small object inside one cell counts as 1
    there, and so does a cell that a large object fills.
    """
    covered = np.zeros((side, side, len(names)), dtype=np.float32)
    edges = np.arange(side + 1) / side
    for box in boxes:
        if box.name not in names:
            continue
        rows = np.minimum(box.bottom, edges[1:]) - np.maximum(box.top, edges[:-1])
        columns = np.minimum(box.right, edges[1:]) - np.maximum(box.left, edges[:-1])
        shared = np.clip(rows, 0, None)[:, None] * np.clip(columns, 0, None)[None, :]
        # Relative to the smaller of the two, so that small objects count fully.
        smaller = min((box.bottom - box.top) * (box.right - box.left), 1 / side**2)
        kind = names.index(box.name)
        covered[..., kind] = np.maximum(covered[..., kind], shared / max(smaller, 1e-9))
    return np.minimum(covered, 1).reshape(side * side, len(names))


def pictures_of_frames(source: Labelled, *, clear_only: bool = False) -> Pictures:
    """Returns all frames of a source, or only those whose ground truth is unambiguous."""
    numbers = source.clear_frames if clear_only else np.arange(len(source.frames))
    objects = [source.objects(int(number)) for number in numbers]
    data = f"{source.frames_told}, {len(numbers)} frames"
    return Pictures(
        source.frames[numbers] if clear_only else source.frames,
        [source.captions(int(number)) for number in numbers],
        data + (" that are clear" if clear_only else ""),
        facts=[
            {**source.facts(int(number)), "objects": str(min(len(seen), _MOST_OBJECTS))}
            for number, seen in zip(numbers, objects, strict=True)
        ],
        boxes=[
            tuple(Box(name, top, left, bottom, right) for name, (left, top, right, bottom) in seen)
            for seen in objects
        ],
    )


def pictures_of_source(
    source: Source, image_pixels: int, *, data: str, captioned: bool = True
) -> Pictures:
    """Returns the first image and all the text of each document of a source.

    An image that several documents show appears once, with all their captions. Documents without an
    image, or with one that cannot be decoded, are passed over; and if ``captioned``, those without
    text.

    Raises:
        UserError: no document is left.
    """
    shape = ImageShape(image_pixels, image_pixels, 1, 1)
    pixels: list[np.ndarray] = []
    captions: list[list[str]] = []
    known: dict[bytes, int] = {}
    unreadable: list[str] = []
    log = ReadingLog()
    for _, document in log.documents(source, range(len(source)), pictures=False):
        picture = next(document.images, None)
        caption = document.text.strip()
        if picture is None or (captioned and not caption):
            continue
        try:
            shown = decode_picture(picture, shape).permute(1, 2, 0).contiguous().numpy()
        except UserError as error:
            unreadable.append(str(error))
            continue
        place = known.setdefault(hashlib.sha256(shown.tobytes()).digest(), len(pixels))
        if place == len(pixels):
            pixels.append(shown)
            captions.append([])
        if caption:
            captions[place].append(caption)
    unreadable += map(str, log.passed_over().values())
    if not pixels:
        what = "a picture and a text" if captioned else "a picture"
        because = f" ({len(unreadable)} cannot be decoded: {unreadable[0]})" if unreadable else ""
        raise UserError(
            f"the source {source.name!r} ({data}) has no document with {what} among its "
            f"{len(source)}{because}; give a source that has"
        )
    content = hashlib.sha256(b"".join(known))
    content.update(json.dumps(captions).encode())
    return Pictures(
        np.stack(pixels),
        [tuple(of_one) for of_one in captions],
        data,
        content=content.hexdigest(),
        unreadable=tuple(unreadable),
    )


def picture_shape(settings: TokenizerTrainingSettings, frozen: Tokenizer | None) -> ImageShape:
    """Returns the size and grid of training images; refuses settings that do not go together.

    Raises:
        UserError: the frozen tokenizer takes images of another size than the settings say, or that
            are not square; or the decoder cannot draw cells of this size.
    """
    if settings.kind == "vae":
        shape, channels = settings.vae.shape, 0
    elif frozen is None:
        shape, channels = settings.encoder.shape, settings.encoder.channels
    else:
        shape, channels = frozen.image_shape, frozen.channels
    side = shape.height_pixels
    if side != shape.width_pixels:
        raise UserError(
            f"the frozen tokenizer takes pictures of {side} x {shape.width_pixels} pixels; chiasm "
            "vision train needs square ones"
        )
    if frozen is not None and frozen.image_shape.height_pixels != side:
        raise UserError(
            ", but the frozen tokenizer takes pictures of "
            f"{frozen.image_shape.height_pixels} pixels",
            setting="vae.image_pixels",
            value=side,
            remedy=f"make them equal, or leave {setting('frozen')} out",
        )
    if settings.kind == "rae":
        guess = LatentStatistics.neutral(channels, 0.0, 1.0, "", "")
        with torch.device("meta"), settings_of("decoder"):  # costs nothing, and says if it fits
            settings.decoder.build(shape, guess)
    return shape


def check_pictures(
    pictures: Pictures, shape: ImageShape, settings: TokenizerTrainingSettings
) -> None:
    """Refuses images that cannot be learned from, before anything is spent on them.

    Raises:
        UserError: the sizes differ, captions are missing, or there is one image or none.
    """
    expected = (shape.height_pixels, shape.width_pixels, 3)
    if pictures.pixels_MHW3.shape[1:] != expected:
        raise UserError(
            f", but the pictures have the shape {pictures.pixels_MHW3.shape[1:]}",
            setting=settings.size_setting,
            value=shape.height_pixels,
            remedy="set it to their side",
        )
    if len(pictures) < 2:
        raise UserError(f"{pictures.data} has {len(pictures)} pictures; give at least 2")
    if settings.reads_captions and not all(pictures.captions):
        raise UserError(
            f"needs captions, and {pictures.data} has pictures without",
            setting="objective",
            value="contrastive",
            remedy=f"set {setting('objective')} = 'self_supervised'",
        )
