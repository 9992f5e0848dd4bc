"""Streams: the named kinds of continuous data that a run reads, and the modalities they are of.

Text is the one discrete modality. A stream is a modality with a tokenizer: ``image`` are pictures
as latents of one tokenizer, and two streams may be of one modality (semantic latents to read, those
of an autoencoder to draw). A position's modality says which expert and which norm it passes; an
item's stream says which layer it enters and leaves by. Text apart, nothing here or below knows how
many there are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from chiasm.errors import UserError

PADDING, TEXT = 0, 1
"""Modality of a position that holds nothing, and of text; those of streams follow."""

IMAGE = "image"
"""The stream that pictures are of unless a document says otherwise."""


@dataclass(frozen=True)
class StreamShape:
    """One stream, as everything between its source and its head knows it."""

    name: str
    modality: str
    """Which experts and norms its positions share, such as ``vision``."""
    grid: tuple[int, ...]
    """Latent tokens of an item along each axis: (rows, columns), (steps,), ..."""
    channels: int
    """C: numbers of one latent token."""
    context_of: str = ""
    """The stream whose context items it reads instead, where it reads for another one."""
    varies: bool = False
    """Whether each item has a grid of its own, of at most as many latent tokens as ``grid``."""

    @property
    def num_tokens(self) -> int:
        """P: latent tokens of an item; the most, where they vary."""
        return math.prod(self.grid)

    @property
    def fewest_tokens(self) -> int:
        """Latent tokens of the smallest item."""
        return 1 if self.varies else self.num_tokens

    @property
    def reach(self) -> tuple[int, ...]:
        """Most latent tokens along each axis of any item."""
        return tuple(self.num_tokens if self.varies else length for length in self.grid)

    def on(self, grid: tuple[int, ...]) -> StreamShape:
        """Returns the shape of an item of this grid."""
        return replace(self, grid=grid)

    @property
    def marks(self) -> str:
        """The stream whose marks stand around its items: its own, unless it reads for another."""
        return self.context_of or self.name

    @property
    def key(self) -> tuple[int, ...]:
        """What its name adds to the keys of its random draws; pictures add nothing."""
        return () if self.name == IMAGE else (int.from_bytes(self.name.encode()),)


@dataclass(frozen=True)
class Streams:
    """The streams of a run, in the order of its recipe.

    Raises:
        UserError: names that no two of them, or no layers of a model, can have; or one that reads
            for a stream that is not there.
    """

    shapes: tuple[StreamShape, ...] = ()

    def __post_init__(self) -> None:
        own, read = self.generated, [shape.context_of for shape in self]
        for name, other in zip(self.names, read, strict=True):
            if self.names.count(name) > 1:
                raise UserError(f"two streams are called {name!r}; rename one of them")
            if "text" in (name, self.shapes[self.names.index(name)].modality):
                raise UserError(
                    "has the name or the modality 'text', which is that of tokens",
                    setting=f"streams.{name}",
                    remedy="choose another word",
                )
            if not name.isidentifier() or _is_taken(name):
                raise UserError(
                    f"{name!r} cannot name a stream: the layers of a model are called by it",
                    remedy="choose a word of letters, digits and underscores that means nothing "
                    "in torch",
                )
            if other and (other not in own or read.count(other) > 1):
                raise UserError(
                    "has a reader already" if other in own else "is no other stream",
                    setting=f"streams.{name}.context_of",
                    value=other,
                    remedy=f"choose one of {', '.join(own) or 'none'}",
                )

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(shape.name for shape in self.shapes)

    @cached_property
    def modalities(self) -> tuple[str, ...]:
        """Text, then those of the streams in the order in which they first occur."""
        return tuple(dict.fromkeys(("text", *(shape.modality for shape in self.shapes))))

    @cached_property
    def generated(self) -> tuple[str, ...]:
        """Names of those whose items may be targets: all but those that read another's context."""
        return tuple(shape.name for shape in self.shapes if not shape.context_of)

    def __iter__(self) -> Iterator[StreamShape]:
        return iter(self.shapes)

    def __getitem__(self, name: str) -> StreamShape:
        """Returns the stream of that name.

        Raises:
            UserError: there is none.
        """
        for shape in self:
            if shape.name == name:
                return shape
        raise UserError(
            f"there is no stream {name!r} here, only {', '.join(self.names) or 'none'}",
            remedy=f"name one of these, or train with a table [streams.{name}] in the recipe",
        )

    def modality_of(self, name: str) -> int:
        """Returns the number that positions of a stream's items have for their modality."""
        return TEXT + self.modalities.index(self[name].modality)

    def reading(self, name: str, target: bool) -> StreamShape:
        """Returns the stream that reads a span: the named one, or what reads its context for it.

        Raises:
            UserError: the run has no such stream, or a target is of one that only reads context.
        """
        if (name, target) in self._readers:
            return self._readers[name, target]
        other = self[name].context_of
        raise UserError(
            f"a target is of stream {name!r}, which only reads the context of {other!r}",
            remedy=f"give it the stream {other!r}",
        )

    @cached_property
    def _readers(self) -> dict[tuple[str, bool], StreamShape]:
        own = {(shape.name, False): shape for shape in self}
        own |= {(shape.context_of, False): shape for shape in self if shape.context_of}
        return own | {(name, True): self[name] for name in self.generated}

    def roles(self, name: str) -> frozenset[bool]:
        """Returns which items a stream reads: targets (True), context (False), or both."""
        if self[name].context_of:
            return frozenset({False})
        others = {shape.context_of for shape in self.shapes}
        return frozenset({True} if name in others else {True, False})


def _is_taken(name: str) -> bool:
    """Whether no layer of a stream can have the name, since a dictionary of layers has it."""
    from torch import nn  # streams are named where nothing is computed

    return hasattr(nn.ModuleDict(), name)
