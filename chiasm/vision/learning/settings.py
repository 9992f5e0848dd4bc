"""What a tokenizer's training is asked for, and whether the pictures at hand allow it."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field

from chiasm.errors import UserError, setting, settings_of
from chiasm.rgb import ImageShape
from chiasm.settings import Settings
from chiasm.tokenizers.settings import TOKENIZERS, TokenizerSettings
from chiasm.tokenizers.statistics import LatentStatistics
from chiasm.tokenizers.tokenizer import Tokenizer
from chiasm.vision.convolutional import ConvolutionalDecoderSettings
from chiasm.vision.decoder import DECODERS, DecoderSettings
from chiasm.vision.encoder import EncoderSettings
from chiasm.vision.kl_autoencoder import AutoencoderSettings
from chiasm.vision.learning.contrastive import ContrastiveSettings
from chiasm.vision.learning.pictures import Pictures
from chiasm.vision.learning.reconstruction import ReconstructionSettings
from chiasm.vision.learning.self_supervised import SelfSupervisedSettings


class TokenizerTrainingSettings(Settings):
    """How a tokenizer is built and trained, whatever it is trained on."""

    name: str = "rae"
    """What the tokenizer is called; runs that use it record the name."""
    seed: int = 0
    """Starts every random number of the training."""
    kind: Literal["rae", "vae"] = "rae"
    """``rae``: a decoder of a frozen encoder's features. ``vae``: a variational autoencoder."""
    frozen: Annotated[TokenizerSettings, TOKENIZERS] | None = None
    """A tokenizer that stays as it is. ``rae``: no encoder is trained, but a decoder of this one's
    latents. ``vae``: pictures are compared in its latents too."""
    encoder: EncoderSettings = EncoderSettings()
    """rae: shape of the encoder."""
    objective: Literal["contrastive", "self_supervised"] = "contrastive"
    """rae: what the encoder learns from: captions, or pictures alone."""
    contrastive: ContrastiveSettings = ContrastiveSettings()
    """The encoder's training with captions."""
    self_supervised: SelfSupervisedSettings = SelfSupervisedSettings()
    """The encoder's training without."""
    decoder: Annotated[DecoderSettings, DECODERS] = ConvolutionalDecoderSettings()
    """rae: shape of the decoder."""
    vae: AutoencoderSettings = AutoencoderSettings()
    """vae: shape of the autoencoder."""
    reconstruction: ReconstructionSettings = ReconstructionSettings()
    """How the decoder, or the autoencoder, learns to draw."""
    statistics_pictures: int = Field(default=20_000, ge=1)
    """Training pictures that the latent statistics are measured on."""

    @property
    def size_setting(self) -> str:
        """The setting that gives the side of the pictures."""
        if self.kind == "vae":
            return "vae.image_pixels"
        return "encoder.image_pixels" if self.frozen is None else "frozen.image_pixels"

    @property
    def reads_captions(self) -> bool:
        """Whether pictures need captions."""
        trains_encoder = self.kind == "rae" and self.frozen is None
        return trains_encoder and self.objective == "contrastive"


def picture_shape(settings: TokenizerTrainingSettings, frozen: Tokenizer | None) -> ImageShape:
    """The pictures that training needs, and their grid; refuses settings that do not go together.

    Raises:
        UserError: the frozen tokenizer takes other pictures than the settings say, or such that are
            not square; or the decoder cannot draw cells of this size.
    """
    if settings.kind == "vae":
        shape, channels = settings.vae.shape, 0
    elif frozen is None:
        shape, channels = settings.encoder.shape, settings.encoder.channels
    else:
        shape, channels = frozen.image_shape, frozen.channels
    side = shape.height_pixels
    if side != shape.width_pixels:
        raise UserError(
            f"the frozen tokenizer takes pictures of {side} x {shape.width_pixels} pixels; chiasm "
            "vision train needs square ones"
        )
    if frozen is not None and frozen.image_shape.height_pixels != side:
        raise UserError(
            ", but the frozen tokenizer takes pictures of "
            f"{frozen.image_shape.height_pixels} pixels",
            setting="vae.image_pixels",
            value=side,
            remedy=f"make them equal, or leave {setting('frozen')} out",
        )
    if settings.kind == "rae":
        guess = LatentStatistics.neutral(channels, 0.0, 1.0, "", "")
        with torch.device("meta"), settings_of("decoder"):  # costs nothing, and says if it fits
            settings.decoder.build(shape, guess)
    return shape


def check_pictures(
    pictures: Pictures, shape: ImageShape, settings: TokenizerTrainingSettings
) -> None:
    """Refuse pictures that cannot be learned from, before anything is spent on them.

    Raises:
        UserError: the sizes differ, captions are missing, or there is one picture or none.
    """
    expected = (shape.height_pixels, shape.width_pixels, 3)
    if pictures.pixels_MHW3.shape[1:] != expected:
        raise UserError(
            f", but the pictures have the shape {pictures.pixels_MHW3.shape[1:]}",
            setting=settings.size_setting,
            value=shape.height_pixels,
            remedy="set it to their side",
        )
    if len(pictures) < 2:
        raise UserError(f"{pictures.data} has {len(pictures)} pictures; give at least 2")
    if settings.reads_captions and not all(pictures.captions):
        raise UserError(
            f"needs captions, and {pictures.data} has pictures without",
            setting="objective",
            value="contrastive",
            remedy=f"set {setting('objective')} = 'self_supervised'",
        )
