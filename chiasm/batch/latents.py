"""The latents of all images of a batch or of a prompt: what their pictures become for a model.

Shape suffixes: L latent tokens of all images, C latent channels. Where context images have a
tokenizer of their own: U their latent tokens, A its channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class ImageLatents:
    """Standardised latents, image after image."""

    z_LC: Tensor
    """float: of all images; rows of context images hold 0 where ``context_UA`` has them."""
    context_UA: Tensor | None = None
    """float: of context images where they have a tokenizer of their own; else None."""

    @classmethod
    def join(cls, parts: Sequence[ImageLatents]) -> ImageLatents:
        """Those of one or more batches or prompts of one tokenizer, one after another."""
        context = [part.context_UA for part in parts if part.context_UA is not None]
        z_LC = torch.cat([part.z_LC for part in parts])
        return cls(z_LC, torch.cat(context) if context else None)

    def at(self, z_LC: Tensor) -> ImageLatents:
        """With others for ``z_LC``, as where noise was mixed in; context images stay clean."""
        return replace(self, z_LC=z_LC)
