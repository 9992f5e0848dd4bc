"""What a pass of the decoder is given beside its inputs, and what it gives.

Shape suffixes: B rows, T positions, L latent tokens of a stream, D width, K head width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from chiasm.model.router import RouterOutput
from chiasm.model.routing import Routing


class Fixed(NamedTuple):
    """What of a pass depends on neither latents nor their times."""

    rotary_BTK: Tensor
    by_modality: Routing | None
    """As of :class:`~chiasm.model.block.Shared`."""
    place_LD: Mapping[str, Tensor]
    """By stream: the embedded place of each latent token."""


class Hidden(NamedTuple):
    """What a pass gives."""

    x_BTD: Tensor
    """Hidden vectors after the final norm."""
    choices: list[RouterOutput]
    """What each block's router chose."""
    behind: list[Tensor]
    """Hidden vectors [B, T, D] after each block that was asked for, before any norm."""
