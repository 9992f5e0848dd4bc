"""A published vision model as a tokenizer, with the decoder of its features where there is one.

Shape suffixes: B pictures, H and W height and width in pixels, P latent tokens of one picture,
C channels.

The decoder is an AutoencoderRAE's. Without one a model can be trained and answers about pictures;
only drawing fails, until a decoder is trained here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from chiasm.data.pictures import ImageShape
from chiasm.errors import UserError
from chiasm.vision.published.autoencoder_rae import (
    RaePixelDecoder,
    RaeShape,
    describe_rae,
    is_rae,
    load_rae_decoder,
    load_rae_encoder,
)
from chiasm.vision.published.backbone import (
    Backbone,
    BackboneShape,
    describe_backbone,
    load_backbone,
)
from chiasm.vision.published.checkpoint import Checkpoint, find_checkpoint
from chiasm.vision.published.tokenizer import Published, PublishedTokenizer


class PublishedRae(PublishedTokenizer):
    """A frozen vision model; pictures are as large as it reads them, also those that are drawn."""

    def __init__(
        self, published: Published, backbone: Backbone, decoder: RaePixelDecoder | None = None
    ) -> None:
        shape = backbone.shape
        pixels, grid = shape.image_pixels, shape.grid
        self.weights_sha256 = backbone.weights_sha256
        super().__init__(
            published,
            ImageShape(pixels, pixels, grid, grid),
            shape.channels,
            f"{shape.family}, layer {shape.layer} of {shape.layers}, at {pixels} pixels, "
            f"weights {backbone.weights_sha256[:16]}",
            str(shape.preprocessing),
            torch.bfloat16,
        )
        self.backbone = backbone
        self.decoder = decoder
        self.requires_grad_(False)
        self.eval()

    @property
    def decodes(self) -> bool:
        """With a decoder."""
        return self.decoder is not None

    @property
    def decoder_sha256(self) -> str:
        """Hash of the decoder's weights; empty without one."""
        return self.decoder.weights_sha256 if self.decoder else ""

    def encode_raw(self, images_B3HW: Tensor) -> Tensor:
        """The vision model's features [B, P, C], layer-normalised."""
        return self.backbone(images_B3HW).float()

    def decode_raw(self, raw_BPC: Tensor) -> Tensor:
        """Pictures from features, scaled to the size of the pictures that are read.

        Raises:
            UserError: there is no decoder.
        """
        if self.decoder is None:
            raise UserError(
                f"the vision tokenizer {self.name} has no decoder, so no pictures can be drawn; "
                "train a model with one: set streams.image.decoder to an AutoencoderRAE of this encoder, "
                "or streams.image.path to a tokenizer that chiasm vision train made of it"
            )
        drawn_B3HW = self.decoder(raw_BPC)
        size = (self.image_shape.height_pixels, self.image_shape.width_pixels)
        if drawn_B3HW.shape[2:] == size:
            return drawn_B3HW
        return functional.interpolate(drawn_B3HW, size, mode="bicubic", antialias=True)


@dataclass(frozen=True)
class RaePlan:
    """The parts of a tokenizer, found and seen to fit; no weights are read yet."""

    published: Published
    encoder: Checkpoint
    backbone: BackboneShape
    decoder: Checkpoint | None
    decoder_shape: RaeShape | None

    def open(self) -> PublishedRae:
        """Read the weights.

        Raises:
            UserError: they are missing or damaged.
        """
        decoder = None
        if self.decoder and self.decoder_shape:
            decoder = load_rae_decoder(self.decoder, self.decoder_shape)
        if self.decoder_shape and self.decoder == self.encoder:
            backbone = load_rae_encoder(self.encoder, self.decoder_shape)
        else:
            backbone = load_backbone(self.encoder, self.backbone)
        return PublishedRae(self.published, backbone, decoder)


def plan_rae(published: Published) -> RaePlan:
    """Find the parts and see that they fit each other.

    ``path`` may be an AutoencoderRAE, which brings its encoder and its decoder.

    Raises:
        UserError: a part is missing or unknown, or the decoder does not fit the encoder.
    """
    encoder = find_checkpoint(published.path, "streams.image.path", published.revision)
    found = {"path": encoder.name, "revision": encoder.revision}
    if is_rae(encoder):
        _refuse_settings_of_other_encoders(published, encoder)
        shape = describe_rae(encoder)
        return RaePlan(published.model_copy(update=found), encoder, shape.backbone, encoder, shape)
    backbone = describe_backbone(encoder, published.layer, published.image_pixels)
    if published.decoder is None:
        return RaePlan(published.model_copy(update=found), encoder, backbone, None, None)
    decoder = find_checkpoint(
        published.decoder, "streams.image.decoder", published.decoder_revision
    )
    shape = describe_rae(decoder)
    shape.refuse(backbone, decoder, encoder.name)
    found |= {"decoder": decoder.name, "decoder_revision": decoder.revision}
    return RaePlan(published.model_copy(update=found), encoder, backbone, decoder, shape)


def _refuse_settings_of_other_encoders(published: Published, encoder: Checkpoint) -> None:
    shape = describe_rae(encoder).backbone
    for name, given, own in (
        ("decoder", published.decoder, None),
        ("layer", published.layer, shape.layers),
        ("image_pixels", published.image_pixels, shape.image_pixels),
    ):
        if given not in (None, own):
            raise UserError(
                f"streams.image.{name} = {given!r} does not go with {encoder.where}: an AutoencoderRAE "
                f"brings its decoder, which draws layer {shape.layers} at {shape.image_pixels} "
                "pixels; leave the setting out"
            )
