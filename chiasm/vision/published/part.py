"""Encoders and decoders whose weights are published elsewhere: a run keeps a reference to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from chiasm.errors import UserError
from chiasm.tokenizers.parts import Part
from chiasm.vision.published.checkpoint import Checkpoint


class PublishedPart(Part):
    """Frozen weights of other libraries: float32 on the CPU, ``cuda_dtype`` on CUDA.

    A subclass sets ``checkpoint`` and ``weights_sha256``.
    """

    kept: ClassVar[bool] = False
    checkpoint: Checkpoint
    weights_sha256: str
    """Hash of the weights as they were published."""
    cuda_dtype = torch.bfloat16

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # What nn.Module.to calls, here or in a module around: the precision follows the device.
        super()._apply(fn, recurse)
        weights = next(self.parameters())
        dtype = self.cuda_dtype if weights.device.type == "cuda" else torch.float32
        if weights.dtype != dtype:
            super()._apply(lambda t: t.to(dtype) if t.is_floating_point() else t, recurse)
        return self

    def describe(self) -> dict[str, Any]:
        """Returns where the weights are, and their hash."""
        return {
            "path": self.checkpoint.name,
            "revision": self.checkpoint.revision,
            "weights_sha256": self.weights_sha256,
        }

    def as_described(self, described: Mapping[str, Any]) -> Self:
        """Returns itself.

        Raises:
            UserError: the weights are not those that were described.
        """
        wanted = described["weights_sha256"]
        if self.weights_sha256 != wanted:
            raise UserError(
                f"the weights of {self.checkpoint.where} have changed: their hash is "
                f"{self.weights_sha256[:12]}, not {wanted[:12]}; bring back those that the "
                "tokenizer was made with"
            )
        return self
