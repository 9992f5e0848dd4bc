"""The tokenizer of kind ``rae``: shipped, trained here, or a published vision model."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from chiasm.errors import UserError, setting
from chiasm.tokenizers.settings import TOKENIZERS
from chiasm.tokenizers.storage import DESCRIPTION
from chiasm.tokenizers.tokenizer import Tokenizer
from chiasm.vision.published.rae import open_published_rae
from chiasm.vision.trained import SHIPPED, TrainedSettings


@TOKENIZERS.register
class RaeSettings(TrainedSettings):
    """A frozen vision model, with a decoder of its features."""

    kind: Literal["rae"] = "rae"
    path: str = SHIPPED[0]
    """The tokenizer that the package carries; a folder of chiasm vision train, which says itself
    what it is, whatever ``kind`` says; or a published model, as a folder or an id of the hub."""
    decoder: str | None = None
    """For a published vision model: an AutoencoderRAE of diffusers, as a folder or an id of the
    hub. Without one, no pictures can be drawn."""
    layer: int | None = Field(default=None, ge=0)
    """For a published vision model: of which block the features are, the last if unset."""

    def open(self) -> Tokenizer:
        """Returns the tokenizer.

        Raises:
            UserError: there is none, it is damaged, or settings do not go with it.
        """
        if self.decoder and (Path(self.decoder).expanduser() / DESCRIPTION).exists():
            raise UserError(
                "was made by chiasm vision train, and such a folder is a whole tokenizer",
                setting="decoder",
                value=self.decoder,
                remedy=f"set {setting('path')} to it, and leave {setting('decoder')} out",
            )
        folder = self.folder
        if folder is None:
            return open_published_rae(self.path, self.decoder, self.layer, self.image_pixels)
        for name in ("decoder", "layer"):
            if getattr(self, name) is not None:
                raise UserError(
                    f"goes with a published vision model; the tokenizer of {setting('path')} = "
                    f"{self.path!r} was trained here and is whole",
                    setting=name,
                    value=getattr(self, name),
                    remedy="leave the setting out",
                )
        return self.open_trained(folder)
