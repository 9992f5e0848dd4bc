"""The head in the middle: what a block in the middle is to know already.

Shape suffixes: L latent tokens of a stream, C latent channels, D width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chiasm.batch.streams import Streams
from chiasm.model.layers import Linear, RMSNorm
from chiasm.model.settings import ModelSettings
from chiasm.model.work import Work


class InnerHead(nn.Module):
    """A norm and, for each stream, a layer to its latents or a projector to states of a pass."""

    def __init__(self, settings: ModelSettings, streams: Streams) -> None:
        super().__init__()
        assert settings.inner is not None
        width = settings.width
        self.block, self.guides = settings.inner.block, settings.inner.target == "latents"
        self.target_block = max(self.block, settings.depth - 1)
        """Of the average: the last block is busy with the last head's output."""
        self.streams = streams
        separate = len(streams.modalities) if settings.attention_weights == "modality" else None
        self.norm = RMSNorm(width, separate)
        names = streams.generated
        if self.guides:
            self.latent_head = nn.ModuleDict(
                {name: Linear(width, streams[name].channels) for name in names}
            )
        else:
            self.projector = nn.ModuleDict({name: Projector(width) for name in names})

    @property
    def heads(self) -> Mapping[str, Linear | Projector]:
        """By the names of streams."""
        heads = self.latent_head if self.guides else self.projector
        return cast("Mapping[str, Linear | Projector]", heads)

    def forward(self, stream: str, x_LD: Tensor) -> Tensor:
        """Hidden vectors [L, D] of latents, behind the block → [L, C], or states [L, D]."""
        modality = self.streams.modality_of(stream)
        modality_L = torch.full(x_LD.shape[:1], modality, device=x_LD.device)
        return cast("Tensor", self.heads[stream](self.norm(x_LD, modality_L)))

    def flops(self, work: Work) -> int:
        """Of the forward pass."""
        return sum(self.heads[name].flops(rows) for name, rows in work.latent_rows.items())


class Projector(nn.Module):
    """States → states of another pass: two linear layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden = Linear(width, width)
        self.out = Linear(width, width)

    def forward(self, x_LD: Tensor) -> Tensor:
        """[L, D] → [L, D]."""
        return cast("Tensor", self.out(F.silu(self.hidden(x_LD))))

    def flops(self, rows: int) -> int:
        """Of the forward pass over ``rows`` states."""
        return self.hidden.flops(rows) + self.out.flops(rows)
