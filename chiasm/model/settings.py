"""What a decoder is made of."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from chiasm.settings import Settings


class ModelSettings(Settings):
    """The shape of a :class:`chiasm.model.Decoder`; its vocabulary comes from the tokenizers."""

    width: int = Field(192, gt=0)
    """Width D of the residual stream."""
    depth: int = Field(5, gt=0)
    """Number of blocks."""
    query_heads: int = Field(6, gt=0)
    """Query heads H of each attention layer."""
    key_value_heads: int = Field(3, gt=0)
    """Key-value heads G; each serves H / G query heads."""
    head_width: int | None = Field(None, gt=0)
    """Width K of one head; None: width / query_heads."""
    feedforward_width: int | None = Field(None, gt=0)
    """Hidden width F of each expert; None: 8/3 of the width, rounded up to a multiple of 32."""
    experts: Literal["shared", "modality"] = "modality"
    """Who transforms a position: one expert for all, or one expert per modality."""
    qk_norm: bool = True
    """Normalise queries and keys, each head by itself, before the rotation."""
    time_conditioning: Literal["added", "adaptive"] = "added"
    """How flow time enters: added to the image's tokens once, or as scale, shift and gate in
    every block."""
    image_positions: Literal["learned", "sinusoidal"] = "learned"
    """The 2-D position embedding inside an image."""
    image_grid_limit: int = Field(64, gt=0)
    """Rows and columns that the learned position tables hold."""
    rope_base: float = Field(10_000.0, gt=1.0)
    """Base of the rotary frequencies."""

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if self.query_heads % self.key_value_heads:
            raise ValueError(
                f"query_heads {self.query_heads} is not a multiple of key_value_heads "
                f"{self.key_value_heads}: each key-value head serves the same number of queries"
            )
        if self.head_width is None and self.width % self.query_heads:
            raise ValueError(
                f"width {self.width} does not divide into query_heads {self.query_heads}; "
                "change one of them or set head_width"
            )
        if self.K % 2:
            raise ValueError(f"head_width {self.K} is odd: rotary positions turn pairs of numbers")
        return self

    @property
    def K(self) -> int:
        """Width of one head."""
        return self.head_width or self.width // self.query_heads

    @property
    def F(self) -> int:
        """Hidden width of one expert."""
        return self.feedforward_width or -(-8 * self.width // (3 * 32)) * 32

    @property
    def num_experts(self) -> int:
        """Experts in each block."""
        return {"shared": 1, "modality": 2}[self.experts]
