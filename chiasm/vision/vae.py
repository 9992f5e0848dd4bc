"""The tokenizer of kind ``vae``: trained here, or a published variational autoencoder."""

from __future__ import annotations

from typing import Literal

from chiasm.errors import UserError, setting
from chiasm.tokenizers.settings import TOKENIZERS
from chiasm.tokenizers.tokenizer import Tokenizer
from chiasm.vision.published.checkpoint import find_checkpoint
from chiasm.vision.published.vae import Vae
from chiasm.vision.trained import SHIPPED, TrainedSettings


@TOKENIZERS.register
class VaeSettings(TrainedSettings):
    """A variational autoencoder."""

    kind: Literal["vae"] = "vae"

    def open(self) -> Tokenizer:
        """Returns the tokenizer.

        Raises:
            UserError: there is none, it is damaged, or settings do not go with it.
        """
        if self.path in ("", *SHIPPED):
            raise UserError(
                f"needs {setting('path')}: {self.path!r} is no variational autoencoder",
                setting="kind",
                value=self.kind,
                remedy="name a folder or an id of the hub",
            )
        folder = self.folder
        if folder is None:
            vae = Vae.load(find_checkpoint(self.path, "path"), self.image_pixels)
            return Tokenizer(f"vae {vae.checkpoint.name}", vae, vae)
        return self.open_trained(folder)
