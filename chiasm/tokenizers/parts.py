"""The parts of a tokenizer: an encoder of items, and a decoder of latents.

Shape suffixes: B items, P latent tokens of one item, C latent channels.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from chiasm.documents import Continuous
from chiasm.errors import UserError
from chiasm.tokenizers.statistics import LatentStatistics


class Part(nn.Module):
    """A part of a tokenizer: an :class:`Encoder`, a :class:`Decoder`, or both in one.

    A subclass names its kind in its header: ``class Patches(Encoder, kind="patches")``.
    """

    kind: ClassVar[str] = ""
    """Name of the kind in a tokenizer's folder."""
    kept: ClassVar[bool] = True
    """Whether a folder keeps its weights; if not, :meth:`describe` says where they are."""
    can_vary: ClassVar[bool] = False
    """Whether items on any grid of at most P latent tokens are right for it."""
    varies: bool = False
    """Whether every item has a grid of its own."""
    _kinds: ClassVar[dict[str, type[Part]]] = {}

    def __init_subclass__(cls, kind: str = "", **more: Any) -> None:
        super().__init_subclass__(**more)
        cls.kind = kind or cls.kind
        if kind:
            # A module that is imported anew defines its class again: only another class is refused.
            before = cls._kinds.get(kind, cls)
            if (before.__module__, before.__qualname__) != (cls.__module__, cls.__qualname__):
                raise ValueError(
                    f"{before.__module__} has an encoder or decoder {kind!r} already; choose "
                    "another kind"
                )
            cls._kinds[kind] = cls

    def describe(self) -> dict[str, Any]:
        """Returns what :meth:`open` needs beside the weights, as JSON has it."""
        return {}

    def carry(self, folder: Path, statistics: LatentStatistics) -> dict[str, Any]:
        """Writes the weights that are not :attr:`kept` into a tokenizer's folder as well.

        Returns what the description then says otherwise; a ``path`` that begins with ``./`` counts
        from the folder. ``statistics`` are of the latents, for formats that hold them.

        Raises:
            OSError: the folder cannot be written.
        """
        return {}

    def check_kind(self, base: str) -> None:
        """Refuses a part without a kind.

        Raises:
            UserError: it has none, so that no folder could describe it.
        """
        if not self.kind:
            name = type(self).__name__
            raise UserError(
                f"opens {name}, of which no folder can tell",
                setting="kind",
                remedy=f'name it: class {name}({base}, kind="...")',
            )

    @classmethod
    def open(cls, described: Mapping[str, Any]) -> Self:
        """Returns the part that :meth:`describe` described; weights that are kept are not set yet.

        Raises:
            UserError: weights that are not kept are gone, or others than they were.
        """
        return cls(**described)

    @staticmethod
    def open_any(described: Mapping[str, Any]) -> Any:
        """Returns the part of whichever kind that a folder's description names."""
        rest = dict(described)
        kind = rest.pop("kind")
        if kind not in Part._kinds:
            raise UserError(
                f"no encoder or decoder is called {kind!r}; import the module that defines it, as "
                "chiasm --import MODULE does before its verb"
            )
        return Part._kinds[kind].open(rest)


class Encoder(Part):
    """Maps items of a stream to latents that are not standardized yet."""

    modality: str
    """Modality of its items in the model, such as ``vision``."""
    grid: tuple[int, ...]
    """Latent tokens along each axis of an item; P is their product. Where items vary, P is the
    most, and this the grid of what is drawn unless another one is asked for."""
    channels: int
    """C, the number of channels of a latent token."""
    preprocessing: str = "as given"
    """Preprocessing of an item before it is encoded, for the record."""

    def label(self, name: str) -> str:
        """Returns the name of its latents, in a tokenizer of this name: one label, one encoder."""
        return f"{name}, weights {hash_weights(self)[:16]}" if self.state_dict() else name

    def grid_of(self, data: Any) -> tuple[int, ...]:
        """Returns the grid of the item that :meth:`read` makes of a payload; nothing is decoded.

        Where the payload cannot be used it is any: reading it says why.
        """
        return self.grid

    def grid_by(self, aspect: float) -> tuple[int, ...]:
        """Returns the grid of an item that is ``aspect`` times as wide as it is high.

        Raises:
            UserError: its items are not of two axes.
        """
        raise UserError(
            "asks for a shape of pictures, which these items are not",
            setting="aspect",
            value=aspect,
            remedy="leave it out",
        )

    @abstractmethod
    def read(self, data: Any) -> Tensor:
        """Returns a span's payload as one item; called on the reading thread.

        All have one shape, unless they vary: then a shape that belongs to the grid.

        Raises:
            UserError: it is no such item, or cannot be decoded.
        """

    @abstractmethod
    def encode(self, items_B: Tensor) -> Tensor:
        """Returns latents [B, P, C] of items of one shape, as :meth:`read` returns them.

        Raises:
            UserError: they have another shape or range.
        """

    def check(self) -> None:
        """Refuses an encoder that does not declare the form of its latents.

        Raises:
            UserError: modality, grid or channels are missing or of another type; or its __init__
                does not call that of its base.
        """
        if "_modules" not in vars(self):
            raise UserError(
                f"opens the encoder {type(self).__name__}, which is not initialized",
                setting="kind",
                remedy="let its __init__ begin with super().__init__()",
            )
        self.check_kind("Encoder")
        fits = {
            "modality": lambda value: isinstance(value, str) and value,
            "grid": lambda value: isinstance(value, tuple) and value and all(map(_counts, value)),
            "channels": _counts,
        }
        remedies = {
            "modality": 'a word such as "series"',
            "grid": "latent tokens along each axis of an item, such as (8,)",
            "channels": "the numbers of one latent token",
        }
        for name, remedy in remedies.items():
            found = getattr(self, name, None)
            if not fits[name](found):
                has = "no" if found is None else f"{found!r} for its"
                raise UserError(
                    f"opens the encoder {type(self).__name__}, which has {has} {name}",
                    setting="kind",
                    remedy=f"set {name} to {remedy}",
                )

    @property
    def form(self) -> str:
        """Shape of items and grid, for the fingerprint."""
        return str(self.grid)


class Decoder(Part):
    """Maps latents that are no longer standardized to items."""

    grid: tuple[int, ...]
    """Latent tokens along each axis of an item, where the decoder can vary."""

    def on(self, grid: tuple[int, ...]) -> Self:
        """Returns the decoder of items on this grid, with the same weights."""
        other = copy(self)
        other.grid = grid
        return other

    @abstractmethod
    def decode(self, raw_BPC: Tensor) -> Tensor:
        """Returns the items [B, ...] of latents [B, P, C]."""

    @abstractmethod
    def span(self, item: Tensor, stream: str) -> Continuous:
        """Returns one decoded item as a context span of a stream."""


def _counts(value: Any) -> bool:
    return isinstance(value, int) and value > 0


def hash_weights(module: nn.Module) -> str:
    """Returns the SHA-256 of names and values of the weights, whatever files they came from."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        # As bytes, since numpy has no bfloat16.
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
