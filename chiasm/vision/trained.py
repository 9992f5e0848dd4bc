"""Tokenizers that ``chiasm vision train`` made: in a user's folder, or in the package."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from chiasm.errors import UserError, setting
from chiasm.vision.settings import PictureSettings

if TYPE_CHECKING:
    from chiasm.tokenizers.tokenizer import Tokenizer

SHIPPED = ("embedded-world", "embedded-world-sharp")
"""Names of the tokenizers that the package carries; the first one is the default."""


class TrainedSettings(PictureSettings):
    """A tokenizer that was trained here, or is published elsewhere."""

    path: str = ""
    """A folder of chiasm vision train, which says itself what it is, whatever ``kind`` says; or a
    published model, as a folder or an id of the hub."""
    image_pixels: int | None = Field(default=None, ge=1)
    """Side of the square pictures; the tokenizer's own if unset. A published model takes any
    multiple of its patch or token."""

    @property
    def folder(self) -> Path | None:
        """Folder of a tokenizer that was trained here; None for a published model.

        Raises:
            UserError: there is no such folder, and hubs have no such names.
        """
        from chiasm.tokenizers.storage import DESCRIPTION
        from chiasm.vision.published.checkpoint import CONFIG

        if self.path in SHIPPED:
            return shipped_folder(self.path)
        folder = Path(self.path).expanduser()
        if folder.is_dir():
            published = (folder / CONFIG).exists() and not (folder / DESCRIPTION).exists()
            return None if published else folder
        if "/" not in self.path:
            raise UserError(
                f"is neither a folder nor a tokenizer of the package ({', '.join(SHIPPED)}) nor "
                "an id of the hub (owner/name)",
                setting="path",
                value=self.path,
                remedy="make one with chiasm vision train",
            )
        return None

    def open_trained(self, folder: Path) -> Tokenizer:
        """Returns the tokenizer of a folder that the path names.

        Raises:
            UserError: it is damaged, or takes images of another size.
        """
        import chiasm.vision.parts  # noqa: F401  (what the folder may name)
        from chiasm.tokenizers.storage import load_tokenizer

        tokenizer = load_tokenizer(folder)
        side = tokenizer.image_shape.height_pixels
        if self.image_pixels not in (None, side):
            raise UserError(
                f", but the tokenizer of {setting('path')} = {self.path!r} takes pictures of "
                f"{side} pixels",
                setting="image_pixels",
                value=self.image_pixels,
                remedy=f"leave it out, or set it to {side}",
            )
        return self.shaped(tokenizer)


def shipped_folder(name: str) -> Path:
    """Returns the folder of a tokenizer that the package carries."""
    return Path(str(resources.files("chiasm.vision"))) / "pretrained" / name
