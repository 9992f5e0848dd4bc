"""What one forward pass has to do, and what it costs.

Every module counts its own matrix products from its shapes and a :class:`Work`: a product of
[R, m] with [m, n] is 2·R·m·n FLOPs; a (query, key) pair costs 4·K per query head, for the scores
and for the weighted values. The backward pass costs twice the forward pass. Elementwise work,
softmax and table look-ups are not counted (the convention of PaLM, arXiv 2204.02311, appendix B,
but with the pairs that the mask really allows and the rows that really enter a head).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chiasm.batch.packed import PackedBatch

FORWARD_AND_BACKWARD = 3
"""A training step's FLOPs in units of its forward pass."""

SHORTCUT_ROWS = 4
"""Of so many rows of a lane one is trained on shortcuts, after two passes that say where they lead
(a quarter of the targets in arXiv 2410.12557)."""


@dataclass(frozen=True)
class Work:
    """How many rows enter each part of the decoder in one forward pass."""

    positions: int
    """Positions that pass through the blocks."""
    pairs: int
    """(query, key) pairs of one attention layer."""
    latents: Mapping[str, int]
    """Latent tokens of each stream that are embedded."""
    text_rows: int
    """Rows that enter the text head."""
    latent_rows: Mapping[str, int]
    """Rows that enter the head of each stream."""

    def __add__(self, other: Work) -> Work:
        return Work(
            self.positions + other.positions,
            self.pairs + other.pairs,
            {name: own + other.latents[name] for name, own in self.latents.items()},
            self.text_rows + other.text_rows,
            {name: own + other.latent_rows[name] for name, own in self.latent_rows.items()},
        )

    @classmethod
    def useful(cls, batch: PackedBatch) -> Work:
        """What a training step needs: no padding, only the mask's own pairs (for MFU)."""
        return cls(
            positions=batch.num_filled,
            pairs=batch.num_pairs,
            latents={name: len(slots.item_L) for name, slots in batch.slots.items()},
            text_rows=batch.num_text_targets,
            latent_rows={name: batch.slots[name].num_targets for name in batch.streams.generated},
        )


@dataclass(frozen=True)
class Parameters:
    """How many numbers the model learns."""

    total: int
    """All of them."""
    active: int
    """Those that one text or one latent token uses inside the blocks, and everything outside."""
