"""The waist of chiasm: what every stream produces and every model consumes.

A :class:`PackedBatch` holds B rows of T positions. Whole documents lie one after another in a
row; an image is a run of vision positions between ``<boi>`` and ``<eoi>``.

Shape suffixes: B rows, T positions of a row, N images of the batch, L latent tokens of all images
(image after image, each row-major), G those of target and U those of context images, C and A
channels of the two, 2 = (row, column).

What a query may see is one contiguous range of keys, [first, last], both inclusive:

- text sees its document up to itself;
- an image's tokens see their document up to the image's last token (the image is bidirectional
  inside, causal outside);
- an image whose condition was dropped for guidance sees only its own ``<boi>`` and itself;
- padding sees itself alone.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import IntEnum
from functools import cached_property
from typing import TypeVar

import torch
from torch import Tensor

NO_LABEL = -100
"""Label of a position that predicts no token (torch's own convention)."""

NOBODY = -1
"""Document and source number of a padding position."""


class Modality(IntEnum):
    """What a position holds; text is the discrete modality, vision the first continuous one."""

    PADDING = 0
    TEXT = 1
    VISION = 2


@dataclass(frozen=True)
class ImageShape:
    """One picture's size in pixels and its grid of latent tokens."""

    height_pixels: int
    width_pixels: int
    rows: int
    columns: int

    @property
    def num_tokens(self) -> int:
        """Latent tokens of one picture."""
        return self.rows * self.columns

    def of(self, target: bool) -> ImageShape:
        """Itself, whatever part a picture plays; :class:`PairedShape` tells two apart."""
        return self


@dataclass(frozen=True)
class PairedShape:
    """Where one tokenizer reads target pictures and another one context pictures."""

    target: ImageShape
    context: ImageShape

    def of(self, target: bool) -> ImageShape:
        """The shape of pictures that play this part."""
        return self.target if target else self.context


AnyShape = ImageShape | PairedShape
"""Shapes of a run's pictures: one of all, or one for each part that they play."""


def smallest_and_largest(shape: AnyShape) -> tuple[int, int]:
    """Latent tokens of the picture with the fewest and of the one with the most."""
    first, second = sorted(shape.of(target).num_tokens for target in (True, False))
    return first, second


@dataclass(frozen=True)
class ImageSlots:
    """The N images of a batch, in row order and, inside a row, in position order."""

    row_N: Tensor
    """int64 [N]: the batch row that holds the image."""
    start_N: Tensor
    """int64 [N]: position of the image's first latent token; ``<boi>`` stands just before it."""
    grid_N2: Tensor
    """int64 [N, 2]: rows and columns of its latent tokens."""
    target_N: Tensor
    """bool [N]: noised and trained on (True), or clean context (False)."""
    dropped_N: Tensor
    """bool [N]: its condition was dropped for guidance."""
    source_N: Tensor
    """int64 [N]: number of the source it comes from."""
    pixels: tuple[Tensor, ...]
    """N pictures, uint8 [3, H, W]; they may differ in size. None where latents were read."""
    raw_GC: Tensor | None = None
    """float [G, C]: latents of targets before they are standardised, in place of pictures."""
    raw_UA: Tensor | None = None
    """float [U, A]: those of context images; A is C unless they have a tokenizer of their own."""

    def __len__(self) -> int:
        return len(self.row_N)

    @cached_property
    def tokens_N(self) -> Tensor:
        """int64 [N]: latent tokens of each image."""
        return self.grid_N2.prod(dim=1)

    @cached_property
    def image_L(self) -> Tensor:
        """int64 [L]: the image that each latent token belongs to."""
        return torch.repeat_interleave(
            torch.arange(len(self), device=self.row_N.device), self.tokens_N
        )

    @cached_property
    def offset_L(self) -> Tensor:
        """int64 [L]: each latent token's row-major number inside its image."""
        begin_N = self.tokens_N.cumsum(0) - self.tokens_N
        count = torch.arange(len(self.image_L), device=self.row_N.device)
        return count - begin_N[self.image_L]

    @cached_property
    def yx_L2(self) -> Tensor:
        """int64 [L, 2]: row and column of each latent token inside its image."""
        columns_L = self.grid_N2[self.image_L, 1]
        return torch.stack((self.offset_L // columns_L, self.offset_L % columns_L), dim=1)

    @cached_property
    def target_G(self) -> Tensor:
        """int64 [G]: which of the L latent tokens belong to target images."""
        return self.target_N[self.image_L].nonzero().squeeze(1)

    @cached_property
    def context_U(self) -> Tensor:
        """int64 [U]: which of the L latent tokens belong to context images."""
        return (~self.target_N[self.image_L]).nonzero().squeeze(1)


@dataclass(frozen=True)
class PackedBatch:
    """B packed rows of T positions; see the module's docstring for what a query may see."""

    ids_BT: Tensor
    """int64: token numbers; the image token's number at vision positions, padding's at padding."""
    label_BT: Tensor
    """int64: the token that this position predicts, NO_LABEL where it predicts none."""
    modality_BT: Tensor
    """int64: a :class:`Modality` for each position."""
    position_BT: Tensor
    """int64: rotary position, counted from the start of the document."""
    first_BT: Tensor
    """int64: first key that the query may see."""
    last_BT: Tensor
    """int64: last key that the query may see."""
    document_BT: Tensor
    """int64: number of the document inside its row, NOBODY at padding."""
    source_BT: Tensor
    """int64: number of the source (into ``source_names``), NOBODY at padding."""
    images: ImageSlots
    lane_B: Tensor
    """int64 [B]: the lane that packed the row."""
    number_B: Tensor
    """int64 [B]: the row's number in its lane; (seed, lane, number) keys all its randomness."""
    source_names: tuple[str, ...]

    @property
    def num_rows(self) -> int:
        """B."""
        return self.ids_BT.shape[0]

    @property
    def num_positions(self) -> int:
        """T."""
        return self.ids_BT.shape[1]

    @cached_property
    def latent_position_L(self) -> Tensor:
        """int64 [L]: where each latent token lies in the flattened [B*T] positions."""
        slots = self.images
        begin_N = slots.row_N * self.num_positions + slots.start_N
        return begin_N[slots.image_L] + slots.offset_L

    @cached_property
    def text_position_R(self) -> Tensor:
        """int64 [R]: flattened positions that predict a token."""
        return (self.label_BT.flatten() != NO_LABEL).nonzero().squeeze(1)

    @cached_property
    def num_text_targets(self) -> int:
        """Positions that predict a token: the text loss's share of the global count."""
        return int((self.label_BT != NO_LABEL).sum())

    @cached_property
    def num_flow_targets(self) -> int:
        """Latent tokens of target images: the flow loss's share of the global count."""
        return int(self.images.tokens_N[self.images.target_N].sum())

    @cached_property
    def num_filled(self) -> int:
        """Positions that are not padding."""
        return int((self.modality_BT != Modality.PADDING).sum())

    @cached_property
    def num_pairs(self) -> int:
        """(query, key) pairs that the mask really allows, padding left out."""
        width_BT = self.last_BT - self.first_BT + 1
        return int(width_BT[self.modality_BT != Modality.PADDING].sum())

    def to(self, device: torch.device | str) -> PackedBatch:
        """The same batch on another device; lists derived on the host travel with it."""
        # Derived index lists have data-dependent lengths: made here, they cost the device no sync.
        derived = {
            "latent_position_L": self.latent_position_L,
            "text_position_R": self.text_position_R,
        }
        counts = {
            name: getattr(self, name)
            for name in ("num_text_targets", "num_flow_targets", "num_filled", "num_pairs")
        }
        slots = {
            name: getattr(self.images, name)
            for name in ("tokens_N", "image_L", "offset_L", "yx_L2", "target_G", "context_U")
        }
        moved = replace(_moved(self, device), images=_moved(self.images, device))
        moved.__dict__.update(
            {name: value.to(device, non_blocking=True) for name, value in derived.items()}, **counts
        )
        moved.images.__dict__.update(
            {name: value.to(device, non_blocking=True) for name, value in slots.items()}
        )
        return moved

    def validate(self) -> None:
        """Check every invariant that the model relies on.

        Raises:
            ValueError: with the first broken invariant.
        """
        for name in _ROW_FIELDS:
            tensor = getattr(self, name)
            _require(tensor.dtype == torch.int64, f"{name} is {tensor.dtype}, not int64")
            _require(tensor.shape == self.ids_BT.shape, f"{name} has shape {tuple(tensor.shape)}")
        slots = self.images
        _require(len(slots.pixels) in (0, len(slots)), "image slots and pictures differ")
        for raw, own in ((slots.raw_GC, slots.target_G), (slots.raw_UA, slots.context_U)):
            given = bool(slots.pixels) or len(own) == (0 if raw is None else len(raw))
            _require(given, "image slots and latents differ")
        query_T = torch.arange(self.num_positions)
        padding_BT = self.modality_BT == Modality.PADDING
        vision_BT = self.modality_BT == Modality.VISION
        _require(bool((self.first_BT <= query_T).all()), "an interval begins after its query")
        _require(bool((self.last_BT >= query_T).all()), "an interval ends before its query")
        _require(bool((self.last_BT < self.num_positions).all()), "an interval leaves the row")
        _require(
            bool((padding_BT == (self.document_BT == NOBODY)).all()),
            "padding and document numbers disagree",
        )
        ends_BT = torch.stack((self.first_BT, self.last_BT), dim=-1)
        for end_BT in ends_BT.unbind(-1):
            seen_BT = self.document_BT.gather(1, end_BT)
            _require(
                bool((seen_BT == self.document_BT)[~padding_BT].all()),
                "an interval reaches into another document",
            )
        _require(
            bool((self.label_BT[~(self.modality_BT == Modality.TEXT)] == NO_LABEL).all()),
            "a position that holds no text predicts a token",
        )
        _require(
            bool(vision_BT.flatten()[self.latent_position_L].all()),
            "an image slot lies outside the vision positions",
        )
        _require(
            int(vision_BT.sum()) == len(self.latent_position_L),
            "image slots and vision positions differ in number",
        )


Holder = TypeVar("Holder", PackedBatch, ImageSlots)

_ROW_FIELDS = (
    "ids_BT",
    "label_BT",
    "modality_BT",
    "position_BT",
    "first_BT",
    "last_BT",
    "document_BT",
    "source_BT",
)


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise ValueError(f"invalid PackedBatch: {what}")


def _moved(holder: Holder, device: torch.device | str) -> Holder:
    changes: dict = {}
    for field in fields(holder):
        value = getattr(holder, field.name)
        if isinstance(value, Tensor):
            changes[field.name] = value.to(device, non_blocking=True)
        elif field.name == "pixels":
            changes[field.name] = tuple(p.to(device, non_blocking=True) for p in value)
    return replace(holder, **changes)
