"""A run's tokenizers by stream: they read, encode and decode the items of its documents.

Shape suffixes: L latent tokens of all items of a stream, C latent channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property

import torch
from torch import Tensor

from chiasm.batch.items import Content
from chiasm.batch.slots import Slots
from chiasm.batch.streams import Streams, StreamShape
from chiasm.documents import Continuous
from chiasm.errors import UserError, found_at, settings_of
from chiasm.tokenizers.memory import LatentMemory
from chiasm.tokenizers.tokenizer import Tokenizer


class StreamTokenizers(Mapping[str, Tokenizer]):
    """Frozen tokenizers by the names of their streams.

    ``context_of``: for a stream that reads another one's context items, the other one.
    """

    def __init__(
        self, tokenizers: Mapping[str, Tokenizer], context_of: Mapping[str, str] | None = None
    ) -> None:
        self._tokenizers = dict(tokenizers)
        self._context_of = dict(context_of or {})

    def __getitem__(self, stream: str) -> Tokenizer:
        return self._tokenizers[stream]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tokenizers)

    def __len__(self) -> int:
        return len(self._tokenizers)

    @cached_property
    def streams(self) -> Streams:
        """Shapes of the streams, for the layout and the model."""
        shapes = [
            StreamShape(
                name,
                own.modality,
                own.grid,
                own.channels,
                self._context_of.get(name, ""),
                own.varies,
            )
            for name, own in self._tokenizers.items()
        ]
        return Streams(tuple(shapes))

    def of(self, stream: str) -> Tokenizer:
        """Returns the tokenizer of a stream.

        Raises:
            UserError: there is no such stream.
        """
        return self[self.streams[stream].name]

    def refuse_varying(self, what: str) -> None:
        """Refuses streams of items with grids of their own, as :meth:`Tokenizer.refuse_varying`."""
        for name, own in self._tokenizers.items():
            with settings_of(f"streams.{name}"):
                own.refuse_varying(what)

    def to(self, device: torch.device) -> StreamTokenizers:
        """Moves all tokenizers to a device, and returns them."""
        for own in self._tokenizers.values():
            own.to(device)
        return self

    @contextmanager
    def remembering(self, most_bytes: int) -> Iterator[None]:
        """While it is open, items on a CPU are encoded once, as far as ``most_bytes`` hold them."""
        for own in self._tokenizers.values():
            own.memory = LatentMemory(most_bytes // len(self))
        try:
            yield
        finally:
            for own in self._tokenizers.values():
                own.memory = None

    def grid(self, item: Continuous) -> tuple[int, ...]:
        """Returns the grid of a span's item, of which no more than the header is read.

        Raises:
            UserError: it is of a stream that there is not.
        """
        shape = self.streams.reading(item.stream, item.target)
        return self[shape.name].encoder.grid_of(item.data) if shape.varies else shape.grid

    def read(self, item: Continuous) -> Content:
        """Returns a span's payload as an item of the stream that reads it.

        Raises:
            UserError: it is broken, or of a stream that there is not.
        """
        return self[self.streams.reading(item.stream, item.target).name].read(item.data)

    def encode(self, slots: Mapping[str, Slots]) -> dict[str, Tensor]:
        """Returns the standardized latents [L, C] of each stream's items, on their device.

        Items of equal size are encoded together; latents that were read from a cache are only
        standardized.
        """
        latents = {}
        for name, own in self._tokenizers.items():
            with found_at(f"streams.{name}"):
                latents[name] = _encode(own, slots[name])
        return latents

    def encode_spans(self, spans: Sequence[Continuous], device: torch.device) -> dict[str, Tensor]:
        """Returns the standardized latents [L, C] of spans by the streams that read them.

        Raises:
            UserError: as :meth:`read`; or its encoder fails at one in any other way.
        """
        items: dict[str, list[Tensor]] = {}
        for span in spans:
            name = self.streams.reading(span.stream, span.target).name
            with found_at(f"streams.{name}"):
                items.setdefault(name, []).append(_read(self[name], span))
        latents = {}
        for name, own in items.items():
            with found_at(f"streams.{name}"):
                latents[name] = self[name].encode_items(own, device)
        return latents

    def decode(self, shape: StreamShape, z_NPC: Tensor) -> list[Continuous]:
        """Returns items of one shape from standardized latents [N, P, C], as context spans.

        Raises:
            UserError: its tokenizer cannot decode.
        """
        own, grid = self.of(shape.name), {"grid": shape.grid} if shape.varies else {}
        return [own.span(item, shape.name) for item in own.decode(z_NPC, **grid)]


def _read(tokenizer: Tokenizer, span: Continuous) -> Tensor:
    try:
        return tokenizer.read(span.data)
    except (LookupError, AttributeError, RuntimeError, TypeError) as error:
        given = type(span.data).__name__
        raise UserError(
            f"its encoder cannot read a {given}: {type(error).__name__}: {error}"
        ) from error


def _encode(tokenizer: Tokenizer, slots: Slots) -> Tensor:
    if slots.raw_LC is not None:
        return tokenizer.statistics.standardize(slots.raw_LC)
    return tokenizer.encode_items(slots.items, slots.row_N.device)
