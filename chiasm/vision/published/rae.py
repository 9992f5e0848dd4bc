"""A published vision model as a tokenizer, with the decoder of its features where there is one.

The decoder is an AutoencoderRAE's. Without one a model can be trained and answers about images;
only drawing fails, until a decoder is trained here. Images, also drawn ones, have the size of the
vision model's input.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chiasm.errors import UserError
from chiasm.tokenizers.tokenizer import Tokenizer
from chiasm.vision.layers import LayerJoin, Layers
from chiasm.vision.published.autoencoder_rae import (
    NAME,
    RaeBackbone,
    RaePixelDecoder,
    describe_rae,
)
from chiasm.vision.published.backbone import Backbone, BackboneShape, describe_backbone
from chiasm.vision.published.checkpoint import Checkpoint, find_checkpoint


def open_published_rae(
    path: str,
    decoder: str | None = None,
    layers: Layers | None = None,
    layer_join: LayerJoin = "sum",
    image_pixels: int | None = None,
) -> Tokenizer:
    """Returns the tokenizer, with neutral statistics; checks its parts before reading weights.

    ``path`` may be an AutoencoderRAE, which has its encoder and its decoder.

    Raises:
        UserError: a part is missing, unknown or damaged, or the decoder does not fit the encoder.
    """
    checkpoint = find_checkpoint(path, "path")
    drawing = None
    encoder: Backbone
    if checkpoint.kind == NAME:
        own = describe_rae(checkpoint).backbone
        given = {"decoder": decoder, "layers": layers, "image_pixels": image_pixels}
        _refuse_settings_of_other_encoders(checkpoint, own, given)
        drawing = RaePixelDecoder.load(checkpoint, own.image_pixels)
        encoder = RaeBackbone.load(checkpoint)
    else:
        shape = describe_backbone(checkpoint, layers, layer_join, image_pixels)
        if decoder is not None:
            apart = find_checkpoint(decoder, "decoder")
            describe_rae(apart).refuse(shape, apart, checkpoint.name)
            drawing = RaePixelDecoder.load(apart, shape.image_pixels)
        encoder = Backbone.load(checkpoint, layers, layer_join, image_pixels)
    return Tokenizer(f"rae {checkpoint.name}", encoder, drawing)


def _refuse_settings_of_other_encoders(
    checkpoint: Checkpoint, shape: BackboneShape, given: Mapping[str, Any]
) -> None:
    own = {"decoder": None, "layers": shape.depth, "image_pixels": shape.image_pixels}
    for name, value in given.items():
        if value not in (None, own[name]):
            raise UserError(
                f"does not go with {checkpoint.where}: an AutoencoderRAE brings its decoder, which "
                f"draws layer {shape.depth} at {shape.image_pixels} pixels",
                setting=name,
                value=value,
                remedy="leave the setting out",
            )
