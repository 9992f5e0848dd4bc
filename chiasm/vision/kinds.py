"""The kinds of tokenizers of images and of their decoders: settings in a recipe.

Naming them needs no torch; opening or building one imports its implementation.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from chiasm.errors import UserError, setting
from chiasm.rgb import ImageShape
from chiasm.tokenizers.settings import TOKENIZERS
from chiasm.vision.layers import LayerJoin, Layers
from chiasm.vision.settings import DECODERS, DecoderSettings, PictureSettings
from chiasm.vision.trained import SHIPPED, TrainedSettings

if TYPE_CHECKING:
    from chiasm.tokenizers.statistics import LatentStatistics
    from chiasm.tokenizers.tokenizer import Tokenizer
    from chiasm.vision.convolutional import ConvolutionalDecoder
    from chiasm.vision.vit import ViTDecoder


@TOKENIZERS.register
class PixelSettings(PictureSettings):
    """Patches of pixels; nothing is learned."""

    kind: Literal["pixels"] = "pixels"
    image_pixels: int = Field(default=64, ge=1)
    """Side of the square pictures."""
    patch_pixels: int = Field(default=8, ge=1)
    """Side of a patch; it must divide ``image_pixels``."""

    @model_validator(mode="after")
    def _patches_fit(self) -> Self:
        if self.image_pixels % self.patch_pixels:
            raise ValueError(
                f"patch_pixels = {self.patch_pixels} does not divide image_pixels = "
                f"{self.image_pixels}; choose a divisor"
            )
        return self

    def open(self) -> Tokenizer:
        """Returns the tokenizer; its statistics are a neutral guess."""
        from chiasm.vision.pixels import pixel_tokenizer

        return self.shaped(pixel_tokenizer(self.image_pixels, self.patch_pixels))


@TOKENIZERS.register
class RaeSettings(TrainedSettings):
    """A frozen vision model, with a decoder of its features."""

    kind: Literal["rae"] = "rae"
    path: str = SHIPPED[0]
    """One of the package, ``embedded-world`` or ``embedded-world-sharp``; a folder of chiasm vision
    train, which says itself what it is, whatever ``kind`` says; or a published model, as a folder
    or an id of the hub."""
    decoder: str | None = None
    """For a published vision model: an AutoencoderRAE of diffusers, as a folder or an id of the
    hub. Without one, no pictures can be drawn."""
    layers: Layers | None = None
    """For a published vision model: of which block the features are, or of which ones: a list, or
    ``"last K"``; the last if unset."""
    layer_join: LayerJoin = "sum"
    """How several layers become one latent."""

    def open(self) -> Tokenizer:
        """Returns the tokenizer.

        Raises:
            UserError: there is none, it is damaged, or settings do not go with it.
        """
        from chiasm.tokenizers.storage import DESCRIPTION
        from chiasm.vision.published.rae import open_published_rae

        if self.decoder and (Path(self.decoder).expanduser() / DESCRIPTION).exists():
            raise UserError(
                "was made by chiasm vision train, and such a folder is a whole tokenizer",
                setting="decoder",
                value=self.decoder,
                remedy=f"set {setting('path')} to it, and leave {setting('decoder')} out",
            )
        folder = self.folder
        if folder is None:
            return self.shaped(
                open_published_rae(
                    self.path, self.decoder, self.layers, self.layer_join, self.image_pixels
                )
            )
        for name in ("decoder", "layers"):
            if getattr(self, name) is not None:
                raise UserError(
                    f"goes with a published vision model; the tokenizer of {setting('path')} = "
                    f"{self.path!r} was trained here and is whole",
                    setting=name,
                    value=getattr(self, name),
                    remedy="leave the setting out",
                )
        return self.open_trained(folder)


@TOKENIZERS.register
class VaeSettings(TrainedSettings):
    """A variational autoencoder."""

    kind: Literal["vae"] = "vae"

    def open(self) -> Tokenizer:
        """Returns the tokenizer.

        Raises:
            UserError: there is none, it is damaged, or settings do not go with it.
        """
        from chiasm.tokenizers.tokenizer import Tokenizer
        from chiasm.vision.published.checkpoint import find_checkpoint
        from chiasm.vision.published.vae import Vae

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
            return self.shaped(Tokenizer(f"vae {vae.checkpoint.name}", vae, vae))
        return self.open_trained(folder)


@DECODERS.register
class ConvolutionalDecoderSettings(DecoderSettings):
    """Shape of the learned residual of a decoder that begins as a linear one."""

    kind: Literal["convolutional"] = "convolutional"
    widths: tuple[int, int, int] = (192, 96, 48)
    """Channels at 1/16, 1/8 and 1/4 of the picture; the first is the attention's."""
    blocks: int = Field(default=2, ge=0)
    """Attention blocks over the cells."""

    def build(self, shape: ImageShape, statistics: LatentStatistics) -> ConvolutionalDecoder:
        """Returns an untrained decoder; latent tokens have to stand for the squares it draws."""
        from chiasm.vision.convolutional import ConvolutionalDecoder

        return ConvolutionalDecoder(self, shape, statistics, widths=self.widths, blocks=self.blocks)


@DECODERS.register
class ViTDecoderSettings(DecoderSettings):
    """Shape of a ViT decoder."""

    kind: Literal["vit"] = "vit"
    width: int = Field(default=192, ge=8)
    """D."""
    depth: int = Field(default=4, ge=1)
    """Attention blocks."""
    heads: int = Field(default=6, ge=1)
    """Attention heads; they divide the width."""
    patch_pixels: int = Field(default=16, ge=1)
    """Side of the square that one token of the decoder draws: a latent token's cell, or a divisor
    of it; then each latent token becomes several of the decoder's."""

    @model_validator(mode="after")
    def _heads_fit(self) -> ViTDecoderSettings:
        if self.width % self.heads:
            raise ValueError(
                f"heads = {self.heads} does not divide width = {self.width}; choose a divisor"
            )
        return self

    def build(self, shape: ImageShape, statistics: LatentStatistics) -> ViTDecoder:
        """Returns an untrained decoder; cells have to be square, and whole numbers of patches."""
        from chiasm.vision.vit import ViTDecoder

        return ViTDecoder(
            self,
            shape,
            statistics,
            width=self.width,
            depth=self.depth,
            heads=self.heads,
            patch_pixels=self.patch_pixels,
        )
