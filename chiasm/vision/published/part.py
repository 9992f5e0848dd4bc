"""Encoders and decoders whose weights are published elsewhere: a run keeps a reference to them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from chiasm.errors import UserError
from chiasm.tokenizers.parts import Part, hash_weights
from chiasm.tokenizers.statistics import LatentStatistics
from chiasm.vision.layers import with_names_of_now
from chiasm.vision.published.checkpoint import Checkpoint, find_checkpoint

AUTOENCODER, VISION_MODEL = "autoencoder", "vision_model"
"""Folders of checkpoints inside a portable one, in the layouts of their libraries."""


class PublishedPart(Part):
    """Frozen weights of other libraries: float32 on the CPU, ``cuda_dtype`` on CUDA.

    Args:
        network: the other library's model, in float32.
        checkpoint: that it was read from.
        used: arguments of :meth:`load` beside the checkpoint.
        shape: arguments of the next class in the method resolution order.
    """

    kept: ClassVar[bool] = False
    named_by: ClassVar[str] = "path"
    """Setting that names the checkpoint."""
    cuda_dtype = torch.bfloat16

    def __init__(
        self, network: nn.Module, checkpoint: Checkpoint, used: Mapping[str, Any], *shape: Any
    ) -> None:
        super().__init__(*shape)
        self.network: Any = network
        self.checkpoint = checkpoint
        self.used = used
        # Hashed in float32, before a move to CUDA changes the precision.
        self.weights_sha256 = hash_weights(network)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # What nn.Module.to calls, here or in a module around: the precision follows the device.
        super()._apply(fn, recurse)
        weights = next(self.parameters())
        dtype = self.cuda_dtype if weights.device.type == "cuda" else torch.float32
        if weights.dtype != dtype:
            super()._apply(lambda t: t.to(dtype) if t.is_floating_point() else t, recurse)
        return self

    @classmethod
    @abstractmethod
    def load(cls, checkpoint: Checkpoint, *args: Any, **used: Any) -> Any:
        """Returns the part, with its weights.

        Raises:
            UserError: the checkpoint holds another model, or weights that cannot be read.
        """

    def describe(self) -> dict[str, Any]:
        """Returns where the weights are, their hash, and how they are used."""
        place = {"path": self.checkpoint.name, "revision": self.checkpoint.revision}
        return {**place, "weights_sha256": self.weights_sha256, **self.used}

    def carry(self, folder: Path, statistics: LatentStatistics) -> dict[str, Any]:
        """Writes the checkpoint into a folder of its kind, once for parts that share it."""
        kind = self.checkpoint.kind or ""
        inside = AUTOENCODER if kind.startswith("Autoencoder") else VISION_MODEL
        if not (folder / inside).exists():
            self.checkpoint.copy(folder / inside)
        return {"path": f"./{inside}", "revision": None}

    @classmethod
    def open(cls, described: Mapping[str, Any]) -> Any:
        """Returns the part, with its weights.

        Raises:
            UserError: they are gone, or others than they were.
        """
        used = with_names_of_now(described)
        path, revision, wanted = map(used.pop, ("path", "revision", "weights_sha256"))
        part = cls.load(find_checkpoint(path, cls.named_by, revision), **used)
        if part.weights_sha256 != wanted:
            raise UserError(
                f"the weights of {part.checkpoint.where} have changed: their hash is "
                f"{part.weights_sha256[:12]}, not {wanted[:12]}; bring back those that the "
                "tokenizer was made with"
            )
        return part
