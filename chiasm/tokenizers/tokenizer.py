"""A tokenizer: an encoder of items, a decoder of latents where there is one, and statistics.

Nothing here depends on what an item is: an image, a stretch of a series. The encoder reads it and
the decoder restores it; between them are standardized latents.

Shape suffixes: B or N items, P latent tokens of one item, L of all items, C latent channels.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from chiasm.documents import Continuous
from chiasm.errors import UserError, origin
from chiasm.rgb import ImageShape
from chiasm.tokenizers.memory import LatentMemory
from chiasm.tokenizers.parts import Decoder, Encoder, Part
from chiasm.tokenizers.statistics import LatentStatistics, RunningStatistics, statistics_of


class Tokenizer(nn.Module):
    """Maps items of a stream to latents [B, P, C], standardized per channel, and back.

    All weights are frozen: neither :meth:`encode` nor :meth:`decode` computes gradients.

    Args:
        name: of the kind and its weights, e.g. ``rae-embedded-world``.
        encoder: reads and encodes items.
        decoder: restores items; the encoder itself, if it can; None: nothing can be drawn.
        statistics: of the encoder's latents; if None, a neutral guess that :meth:`measure`
            replaces.

    Raises:
        UserError: as :meth:`Encoder.check`.
    """

    encoder: Encoder
    decoder: Decoder | None

    def __init__(
        self,
        name: str,
        encoder: Encoder,
        decoder: Decoder | None = None,
        statistics: LatentStatistics | None = None,
    ) -> None:
        super().__init__()
        encoder.check()
        if decoder is not None:
            decoder.check_kind("Decoder")
        self.name = name
        self.encoder = encoder
        self.decoder = decoder
        self.memory: LatentMemory | None = None
        self.statistics = statistics or LatentStatistics.neutral(
            encoder.channels, 0.0, 1.0, encoder.label(name), encoder.preprocessing
        )
        self.requires_grad_(False)
        self.eval()

    @property
    def modality(self) -> str:
        """Modality of the items in the model."""
        return self.encoder.modality

    @property
    def grid(self) -> tuple[int, ...]:
        """Latent tokens along each axis of an item."""
        return self.encoder.grid

    @property
    def varies(self) -> bool:
        """Whether each item has a grid of its own."""
        return self.encoder.varies

    @property
    def can_vary(self) -> bool:
        """Whether its encoder, and its decoder if there is one, take items on any grid."""
        return all(part.can_vary for part in self.roles.values())

    def vary(self) -> None:
        """From now on, each item has a grid of its own."""
        for part in self.roles.values():
            part.varies = True

    def refuse_varying(self, what: str) -> None:
        """Raises a UserError where each item has a grid of its own: ``what`` takes one shape."""
        if self.varies:
            why = f", but {what} takes pictures of one shape"
            raise UserError(why, setting="shape", value="native", remedy="leave it out")

    @property
    def channels(self) -> int:
        """C, the number of channels of a latent token."""
        return self.encoder.channels

    @property
    def decodes(self) -> bool:
        """Whether latents can be decoded to items."""
        return self.decoder is not None

    @property
    def image_shape(self) -> ImageShape:
        """Size and grid of images.

        Raises:
            UserError: its items are no images.
        """
        shape = getattr(self.encoder, "image_shape", None)
        if not isinstance(shape, ImageShape):
            raise UserError(f"the items of the tokenizer {self.name} are no pictures")
        return shape

    def read(self, data: Any) -> Tensor:
        """Returns a span's payload as one item, as :meth:`Encoder.read`.

        Raises:
            UserError: it cannot be used, as the encoder reports by this or any OSError or
                ValueError.
        """
        try:
            item = self.encoder.read(data)
        except (OSError, ValueError) as error:
            raise UserError(str(error)) from error
        if not isinstance(item, Tensor):
            raise TypeError(f"{self._encoder}.read() gave a {type(item).__name__}, not a Tensor")
        return item

    @torch.no_grad()
    def encode(self, items_B: Tensor) -> Tensor:
        """Returns the standardized latents [B, P, C] of items.

        Raises:
            UserError: as :meth:`Encoder.encode`, or the encoder returned latents of another shape.
        """
        raw_BPC = self.memory.encode(items_B, self._raw) if self.memory else self._raw(items_B)
        return self.statistics.standardize(raw_BPC)

    @torch.no_grad()
    def decode(self, latents_BPC: Tensor, grid: tuple[int, ...] | None = None) -> Tensor:
        """Returns the items of standardized latents [B, P, C] on a grid; None: on its own.

        Raises:
            UserError: there is no decoder.
        """
        decoder = self._drawing()
        if grid not in (None, self.grid):
            decoder = decoder.on(grid)
        return decoder.decode(self.statistics.restore(latents_BPC))

    def span(self, item: Tensor, stream: str) -> Continuous:
        """Returns one decoded item as a context span, as :meth:`Decoder.span`."""
        return self._drawing().span(item, stream)

    def encode_items(self, items: Sequence[Tensor], device: torch.device) -> Tensor:
        """Returns the standardized latents [L, C] of items, one after another.

        Those of equal size are encoded together.
        """
        groups: dict[torch.Size, list[int]] = {}
        for number, item in enumerate(items):
            groups.setdefault(item.shape, []).append(number)
        latents_N: dict[int, Tensor] = {}
        for members in groups.values():
            stacked = torch.stack([items[number] for number in members]).to(device)
            latents_N.update(zip(members, self.encode(stacked), strict=True))
        if not latents_N:
            return torch.zeros(0, self.channels, device=device)
        return torch.cat([latents_N[number] for number in range(len(items))])

    @torch.no_grad()
    def encode_alone(self, item: Tensor) -> Tensor:
        """Returns the latents [P, C] of one item, float32, before they are standardized.

        Their last bits do not depend on other items, as those of a batch may.
        """
        return self._raw(torch.stack([item]))[0].float().contiguous()

    @property
    def _encoder(self) -> str:
        return type(self.encoder).__name__

    def _raw(self, items_B: Tensor) -> Tensor:
        """Returns latents [B, P, C], of which only the shape is checked."""
        try:
            raw_BPC = self.encoder.encode(items_B)
        except torch.OutOfMemoryError:
            raise
        except UserError:
            raise
        except Exception as error:
            raise UserError(
                f"{self._encoder}.encode() fails at items of shape {[*items_B.shape]}: "
                f"{type(error).__name__}: {error}{origin(error)}",
                remedy="every item that read() gives must be one that encode() takes",
            ) from error
        number = raw_BPC.shape[1] if self.varies else math.prod(self.grid)
        wanted = (len(items_B), number, self.channels)
        if raw_BPC.shape != wanted:
            raise UserError(
                f"{self._encoder}.encode() gave {[*raw_BPC.shape]} where grid {self.grid} and "
                f"channels {self.channels} ask for {[*wanted]}"
            )
        return raw_BPC

    def _drawing(self) -> Decoder:
        if self.decoder is None:
            raise UserError(
                f"the tokenizer {self.name} has no decoder, so nothing can be drawn; train a model "
                "with one: name a decoder of this encoder in its setting decoder, or in path a "
                "tokenizer that chiasm vision train made of it"
            )
        return self.decoder

    @torch.no_grad()
    def measure(self, batches: Iterable[Tensor], *, data: str) -> LatentStatistics:
        """Replaces the statistics by those of these items [B, ...], and returns them.

        ``data`` names the items.

        Raises:
            UserError: there are none, all are alike, or latents are not finite.
        """
        running = RunningStatistics(self.channels)
        for items_B in batches:
            running.update(self._raw(items_B))
        encoder, preprocessing = self.statistics.encoder, self.encoder.preprocessing
        self.statistics = running.finish(encoder=encoder, preprocessing=preprocessing, data=data)
        return self.statistics

    def adopt(self, statistics: LatentStatistics, where: str) -> None:
        """Replaces the statistics by those of an earlier measurement, read from the file ``where``.

        Raises:
            UserError: they are those of another encoder or of other preprocessing.
        """
        for what in ("encoder", "preprocessing", "channels"):
            there, here = getattr(statistics, what), getattr(self.statistics, what)
            if there != here:
                raise UserError(
                    f"holds statistics of other latents than those of {self.name}: {what} {there} "
                    f"there, {here} here",
                    setting="statistics",
                    value=where,
                    remedy="measure them again (chiasm vision stats)",
                )
        self.statistics = statistics

    @property
    def weights(self) -> dict[str, Tensor]:
        """The weights that a folder keeps, by their names in it."""
        return {
            f"{role}.{name}": tensor.contiguous()
            for role, part in self.roles.items()
            if part.kept
            for name, tensor in part.state_dict().items()
        }

    @property
    def roles(self) -> dict[str, Part]:
        """Its parts by their names in a description."""
        if self.decoder is self.encoder:
            return {"autoencoder": self.encoder}
        drawing = {} if self.decoder is None else {"decoder": self.decoder}
        return {"encoder": self.encoder, **drawing}

    @property
    def fingerprint(self) -> str:
        """Hash of encoder, decoder and statistics: equal prints mean equal latents."""
        told = f"{self.encoder.form} {self.statistics}"
        if self.encoder.kept:
            told = f"{self.name} {told}"
        else:  # the name says where the weights lie, the statistics say which they are
            apart = None if self.decoder is self.encoder else self.decoder
            told = f"{told} {getattr(apart, 'weights_sha256', '')}"
        if self.varies:
            told += " each on a grid of its own"
        digest = hashlib.sha256(told.encode())
        for name, tensor in sorted(self.weights.items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def describe(self) -> dict[str, Any]:
        """Returns what :meth:`open` needs beside :attr:`weights`, as JSON has it."""
        parts = {role: {"kind": part.kind, **part.describe()} for role, part in self.roles.items()}
        varies = {"varies": True} if self.varies else {}
        return {"name": self.name, **parts, **varies, "statistics": asdict(self.statistics)}

    @classmethod
    def open(cls, described: Mapping[str, Any]) -> Tokenizer:
        """Returns the tokenizer that :meth:`describe` described; its weights are not set yet.

        Raises:
            KeyError, TypeError, ValueError: it is no such description.
            UserError: a part's kind is not known, or weights that are not kept have changed.
        """
        if "autoencoder" in described:
            encoder = decoder = Part.open_any(described["autoencoder"])
        else:
            encoder = Part.open_any(described["encoder"])
            decoder = Part.open_any(described["decoder"]) if "decoder" in described else None
        statistics = statistics_of(described["statistics"])
        if statistics.preprocessing != encoder.preprocessing:
            raise UserError(
                f"its statistics are of other latents: preprocessing {statistics.preprocessing} "
                f"there, {encoder.preprocessing} here"
            )
        tokenizer = cls(described["name"], encoder, decoder, statistics)
        if described.get("varies"):
            tokenizer.vary()
        return tokenizer
