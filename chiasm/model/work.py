"""What one forward pass has to do, and what it costs.

Every module counts its own matrix products from its shapes and a :class:`Work`: a product of
[R, m] with [m, n] is 2·R·m·n FLOPs; a (query, key) pair costs 4·K per query head, for the scores
and for the weighted values. The backward pass costs twice the forward pass. Elementwise work,
softmax and table look-ups are not counted (the convention of PaLM, arXiv 2204.02311, appendix B,
but with the pairs that the mask really allows and the rows that really enter a head).
"""

from __future__ import annotations

from dataclasses import dataclass

from chiasm.batch.packed import PackedBatch

FORWARD_AND_BACKWARD = 3
"""A training step's FLOPs in units of its forward pass."""


@dataclass(frozen=True)
class Work:
    """How many rows enter each part of the decoder in one forward pass."""

    positions: int
    """Positions that pass through the blocks."""
    pairs: int
    """(query, key) pairs of one attention layer."""
    latents: int
    """Latent tokens that are embedded."""
    context_latents: int
    """Those of them that belong to context images."""
    text_rows: int
    """Rows that enter the text head."""
    latent_rows: int
    """Rows that enter the latent head."""

    @classmethod
    def useful(cls, batch: PackedBatch) -> Work:
        """What a training step needs: no padding, only the mask's own pairs (for MFU)."""
        return cls(
            positions=batch.num_filled,
            pairs=batch.num_pairs,
            latents=len(batch.latent_position_L),
            context_latents=len(batch.latent_position_L) - batch.num_flow_targets,
            text_rows=batch.num_text_targets,
            latent_rows=batch.num_flow_targets,
        )

    @classmethod
    def dense(cls, batch: PackedBatch) -> Work:
        """What dense kernels execute: padding and every pair of a row, allowed or not."""
        return cls(
            positions=batch.num_rows * batch.num_positions,
            pairs=batch.num_rows * batch.num_positions**2,
            latents=len(batch.latent_position_L),
            context_latents=len(batch.latent_position_L) - batch.num_flow_targets,
            text_rows=batch.num_text_targets,
            latent_rows=batch.num_flow_targets,
        )


@dataclass(frozen=True)
class Parameters:
    """How many numbers the model learns."""

    total: int
    """All of them."""
    active: int
    """Those that one text or one latent token uses inside the blocks, and everything outside."""
