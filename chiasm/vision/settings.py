"""Shapes of the encoders and decoders that are trained here.

Shape suffixes: as of the modules that build them; C latent channels, Z channels of an autoencoder's
latent, D width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from chiasm.errors import setting
from chiasm.registry import Registry
from chiasm.rgb import ImageShape
from chiasm.settings import Settings
from chiasm.tokenizers.settings import TokenizerSettings
from chiasm.vision.layers import LayerJoin, Layers, channels_of, numbers_of

if TYPE_CHECKING:
    from chiasm.tokenizers.statistics import LatentStatistics
    from chiasm.tokenizers.tokenizer import Tokenizer


CELL_PIXELS = 16
"""Side of the square of pixels that one latent token stands for."""

PATCH = 2
"""Side of the square of latents that makes one token."""

StoredType = Literal["float16", "bfloat16", "float32"]
"""Of latents on disk. Standardized ones lie within a few units, where float16 rounds eight times as
finely as bfloat16 in the same 16 bits."""

SHARD_PICTURES = 2048
"""Pictures of a shard of latents: with 256 tokens of 768 channels in 16 bits, 805 MB."""


class PictureSettings(TokenizerSettings):
    """The tokenizer of a stream of pictures."""

    shape: Literal["square", "native"] = "square"
    """``square`` crops all pictures to squares of one size; ``native`` keeps their aspect ratios,
    within as many latent tokens as the square has."""

    @model_validator(mode="after")
    def _latents_are_square(self) -> Self:
        if self.shape == "native" and self.latents is not None:
            raise self.error(
                "shape",
                f"does not go with {setting('latents')}: those are of square pictures",
                "leave one out",
            )
        return self

    def shaped(self, tokenizer: Tokenizer) -> Tokenizer:
        """Returns the tokenizer, whose pictures keep their aspect ratios where the settings say so.

        Raises:
            UserError: it takes squares alone.
        """
        if self.shape == "native":
            if not tokenizer.can_vary:
                raise self.error(
                    "shape",
                    f", but the tokenizer {tokenizer.name} takes squares of one size alone: it "
                    "has learned a place for each latent token",
                    "leave it out, or take pixels, a vae, or a published vision model without a "
                    "decoder",
                )
            tokenizer.vary()
        return tokenizer


class EncoderSettings(Settings):
    """Shape of the encoder."""

    image_pixels: int = Field(default=64, ge=16, multiple_of=CELL_PIXELS)
    """Side of the square pictures; each 16 x 16 pixels become one latent token."""
    channels: int = Field(default=64, ge=8, multiple_of=8)
    """C: channels of a latent token."""
    widths: tuple[int, int, int] = (48, 80, 160)
    """Channels of the pyramid at 1/4, 1/8 and 1/16 of the picture; the last is the attention's."""
    blocks: int = Field(default=1, ge=0)
    """Attention blocks over the cells."""
    layers: Layers | None = None
    """Latents are the output of so many blocks, or of several such layers (a list, or ``"last
    K"``); of all blocks, mapped to the channels, if unset. What the encoder is trained for is asked
    of its last features in any case."""
    layer_join: LayerJoin = "sum"
    """How several layers become one latent."""

    @model_validator(mode="after")
    def _layers_are_there(self) -> EncoderSettings:
        if self.layers is None:
            return self
        try:
            chosen = numbers_of(self.layers, self.blocks)
        except ValueError as error:
            raise ValueError(
                f"layers = {self.layers} of an encoder of blocks = {self.blocks}; {error}, or set "
                "more blocks"
            ) from None
        channels = channels_of(chosen, self.layer_join, self.widths[2])
        if self.channels != channels:
            raise ValueError(
                f"layers = {self.layers} gives latents of {channels} channels, of the blocks' "
                f"width, widths[2] = {self.widths[2]}, but channels = {self.channels}; make them "
                "equal"
            )
        return self

    @property
    def read_layers(self) -> tuple[int, ...] | None:
        """Numbers of the layers that latents are read from; None: the last features."""
        return None if self.layers is None else numbers_of(self.layers, self.blocks)

    @property
    def shape(self) -> ImageShape:
        """Size and grid of the images."""
        side = self.image_pixels // CELL_PIXELS
        return ImageShape(self.image_pixels, self.image_pixels, side, side)


class DecoderSettings(Settings):
    """Shape of a decoder; each kind adds settings of its own."""

    kind: str

    def build(self, shape: ImageShape, statistics: LatentStatistics) -> Any:
        """Returns an untrained :class:`chiasm.vision.decoder.FeatureDecoder`; a kind defines it.

        Raises:
            UserError: it cannot draw cells of this size.
        """
        raise NotImplementedError


DECODERS = Registry[DecoderSettings]("decoder", default="convolutional")


class AutoencoderSettings(Settings):
    """Shape of a variational autoencoder."""

    image_pixels: int = Field(default=64, ge=8)
    """Side of the square pictures."""
    downsampling: Literal[2, 4, 8, 16] = 8
    """Pixels of one latent in each direction; a token stands for twice as many."""
    channels: int = Field(default=8, ge=1)
    """Z: channels of a latent; a token has four times as many."""
    width: int = Field(default=32, ge=8, multiple_of=8)
    """Channels at half the resolution; twice, then three times as many below."""

    @model_validator(mode="after")
    def _tokens_fit(self) -> AutoencoderSettings:
        token = PATCH * self.downsampling
        if self.image_pixels % token:
            raise ValueError(
                f"image_pixels = {self.image_pixels} is not a multiple of the {token} pixels of a "
                f"token at downsampling = {self.downsampling}; choose one that is"
            )
        return self

    @property
    def widths(self) -> tuple[int, ...]:
        """D at each resolution, the highest (half the image's) first."""
        return tuple(self.width * min(k, 3) for k in range(1, self.downsampling.bit_length()))

    @property
    def shape(self) -> ImageShape:
        """Size of the images, and their grid of tokens."""
        side = self.image_pixels // (PATCH * self.downsampling)
        return ImageShape(self.image_pixels, self.image_pixels, side, side)
