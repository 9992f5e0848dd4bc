"""A published vision model as a tokenizer, with the decoder of its features where there is one.

The decoder is an AutoencoderRAE's. Without one a model can be trained and answers about pictures;
only drawing fails, until a decoder is trained here. Pictures are as large as the vision model reads
them, also those that are drawn.
"""

from __future__ import annotations

from chiasm.errors import UserError
from chiasm.tokenizers.parts import Decoder
from chiasm.tokenizers.statistics import LatentStatistics
from chiasm.tokenizers.tokenizer import Tokenizer
from chiasm.vision.published.autoencoder_rae import (
    describe_rae,
    is_rae,
    load_rae_decoder,
    load_rae_encoder,
)
from chiasm.vision.published.backbone import Backbone, describe_backbone, load_backbone
from chiasm.vision.published.checkpoint import Checkpoint, find_checkpoint


def open_published_rae(
    path: str,
    decoder: str | None = None,
    layer: int | None = None,
    image_pixels: int | None = None,
) -> Tokenizer:
    """The tokenizer, with neutral statistics; that its parts fit is seen before weights are read.

    ``path`` may be an AutoencoderRAE, which brings its encoder and its decoder.

    Raises:
        UserError: a part is missing, unknown or damaged, or the decoder does not fit the encoder.
    """
    checkpoint = find_checkpoint(path, "path")
    if is_rae(checkpoint):
        _refuse_settings_of_other_encoders(checkpoint, decoder, layer, image_pixels)
        whole = describe_rae(checkpoint)
        drawing = load_rae_decoder(checkpoint, whole, whole.backbone.image_pixels)
        return _tokenizer(load_rae_encoder(checkpoint, whole), drawing)
    shape = describe_backbone(checkpoint, layer, image_pixels)
    if decoder is None:
        return _tokenizer(load_backbone(checkpoint, shape))
    apart = find_checkpoint(decoder, "decoder")
    drawn = describe_rae(apart)
    drawn.refuse(shape, apart, checkpoint.name)
    drawing = load_rae_decoder(apart, drawn, shape.image_pixels)
    return _tokenizer(load_backbone(checkpoint, shape), drawing)


def _tokenizer(encoder: Backbone, decoder: Decoder | None = None) -> Tokenizer:
    guess = LatentStatistics.neutral(
        encoder.channels, 0.0, 1.0, encoder.label, encoder.preprocessing
    )
    return Tokenizer(f"rae {encoder.checkpoint.name}", encoder, decoder, guess)


def _refuse_settings_of_other_encoders(
    checkpoint: Checkpoint, decoder: str | None, layer: int | None, image_pixels: int | None
) -> None:
    shape = describe_rae(checkpoint).backbone
    for name, given, own in (
        ("decoder", decoder, None),
        ("layer", layer, shape.layers),
        ("image_pixels", image_pixels, shape.image_pixels),
    ):
        if given not in (None, own):
            raise UserError(
                f"does not go with {checkpoint.where}: an AutoencoderRAE brings its decoder, which "
                f"draws layer {shape.layers} at {shape.image_pixels} pixels",
                setting=name,
                value=given,
                remedy="leave the setting out",
            )
