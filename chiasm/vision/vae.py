"""The tokenizer of kind ``vae``: trained here, or a published variational autoencoder."""

from __future__ import annotations

from typing import Literal

from chiasm.errors import UserError, setting
from chiasm.tokenizers.settings import TOKENIZERS
from chiasm.tokenizers.tokenizer import Tokenizer
from chiasm.vision.published.vae import open_published_vae
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
            return open_published_vae(self.path, self.image_pixels)
        return self.open_trained(folder)
