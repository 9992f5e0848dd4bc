"""A frozen vision model of transformers as an encoder: images to features on a grid.

As in RAE (arXiv 2510.11690) class and register tokens are dropped and the last norm has no affine
part: features have mean 0 and deviation 1 over the channels of each token.

Shape suffixes: B images, H and W height and width in pixels, Y and X rows and columns of the patch
grid, P = Y * X patches, S tokens of the model (patches, class and register tokens), C channels, F
pixel values of a patch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from chiasm.errors import UserError, setting
from chiasm.rgb import ImageShape
from chiasm.vision.layers import (
    LayerJoin,
    Layers,
    channels_of,
    described,
    joined,
    name_of,
    numbers_of,
)
from chiasm.vision.published.checkpoint import (
    CONFIG,
    Checkpoint,
    quiet_loading,
    reading_weights,
)
from chiasm.vision.published.part import PublishedPart
from chiasm.vision.published.preprocessing import Preprocessing, read_preprocessing
from chiasm.vision.tokenizer import PictureEncoder

LAST_NORM = {
    "siglip_vision_model": "post_layernorm",
    "siglip2_vision_model": "post_layernorm",
    "dinov2": "layernorm",
    "dinov2_with_registers": "layernorm",
}
"""Supported vision models, by transformers' ``model_type``, → the name of their last norm.

``siglip`` is SigLIP and SigLIP 2 of fixed resolution, ``siglip2`` is SigLIP 2 NaFlex; WebSSL's
models are ``dinov2``.
"""


@dataclass(frozen=True)
class BackboneShape:
    """The shape of latents in a vision model's configuration, before its weights are read."""

    family: str
    """transformers' ``model_type`` of the vision tower."""
    width: int
    """Channels of one layer."""
    patch_pixels: int
    image_pixels: int
    """Side of its square input images."""
    layers: tuple[int, ...]
    """Layers that features are read from; the blocks up to the highest are run."""
    layer_join: LayerJoin
    depth: int
    """Number of blocks of the model."""
    preprocessing: Preprocessing

    @property
    def grid(self) -> int:
        """Number of rows, and of columns, of patches."""
        return self.image_pixels // self.patch_pixels

    @property
    def channels(self) -> int:
        """C of the features."""
        return channels_of(self.layers, self.layer_join, self.width)

    @property
    def read(self) -> str:
        """Which layers are read, in words."""
        return name_of(self.layers, self.layer_join)


class Backbone(PublishedPart, PictureEncoder, kind="vision model"):
    """Maps images [B, 3, H, W] in [0, 1] to features [B, P, C], row-major over the patches."""

    can_vary = True  # places are interpolated, to any grid

    def __init__(self, network: nn.Module, shape: BackboneShape, checkpoint: Checkpoint) -> None:
        """``network`` is the vision tower; its last norm loses its affine part here."""
        name, side = LAST_NORM[shape.family], shape.image_pixels
        eps = getattr(network, name).eps
        setattr(network, name, nn.LayerNorm(shape.width, eps, elementwise_affine=False))
        self.eps = eps
        used = described(shape.layers, shape.layer_join) | {"image_pixels": side}
        image_shape = ImageShape(side, side, shape.grid, shape.grid)
        super().__init__(network, checkpoint, used, image_shape, shape.channels)
        self.shape = shape
        self.preprocessing = str(shape.preprocessing)

    def label(self, name: str) -> str:
        """Returns a name of the features, with the weights that they depend on."""
        shape = self.shape
        return (
            f"{shape.family}, {shape.read} of {shape.depth}, at {shape.image_pixels} pixels, "
            f" weights {self.weights_sha256[:16]}"
        )

    def features(self, images_B3HW: Tensor) -> Tensor:
        """Returns features [B, P, C], layer-normalized, of one layer or several."""
        asked = {} if len(self.shape.layers) == 1 else {"output_hidden_states": True}
        pixels = self.shape.preprocessing.normalize(images_B3HW).to(next(self.parameters()).dtype)
        if self.shape.family == "siglip2_vision_model":
            read = self._read_patches(pixels, asked)
        elif self.shape.family == "siglip_vision_model":
            read = self.network(pixel_values=pixels, interpolate_pos_encoding=True, **asked)
        else:
            read = self.network(pixel_values=pixels, **asked)
        height, width = (side // self.shape.patch_pixels for side in pixels.shape[2:])
        cells = slice(-height * width, None)  # class and register tokens come first
        if not asked:
            return read.last_hidden_state[:, cells].float()
        layers = [read.hidden_states[number][:, cells].float() for number in self.shape.layers]
        return joined(layers, self.shape.layer_join, self.eps)

    @classmethod
    def load(
        cls,
        checkpoint: Checkpoint,
        layers: Layers | None = None,
        layer_join: LayerJoin = "sum",
        image_pixels: int | None = None,
    ) -> Any:
        """Returns the vision tower up to the highest layer that is read; no other weights are read
        into memory.

        Raises:
            UserError: as :func:`describe_backbone`; or weights are missing, of other shapes, or
                damaged.
        """
        from transformers import AutoModel

        shape = describe_backbone(checkpoint, layers, layer_join, image_pixels)
        config = _vision_config(checkpoint)
        config.num_hidden_layers = max(shape.layers)
        config.vision_use_head = False
        with reading_weights(checkpoint), quiet_loading():
            network, report = AutoModel.from_pretrained(
                checkpoint.folder,
                config=config,
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
            )
        # The mask token belongs to training; the last norm's affine part is not used.
        unused = ("mask_token", LAST_NORM[shape.family])
        missing = [name for name in report["missing_keys"] if not any(u in name for u in unused)]
        if missing:
            raise checkpoint.unfit(
                f"lacks {len(missing)} of the vision model's weights, such as {min(missing)}",
                "fetch or copy the checkpoint again",
            )
        return cls(network, shape, checkpoint)

    def _read_patches(self, pixels_B3HW: Tensor, asked: Mapping[str, bool]) -> Any:
        """Returns the output of NaFlex, which takes patches with innermost colours, and
        the grid.
        """
        patch = self.shape.patch_pixels
        grid = [side // patch for side in pixels_B3HW.shape[2:]]
        patches_BFP = functional.unfold(pixels_B3HW, patch, stride=patch)
        patches_BPF = patches_BFP.unflatten(1, (3, patch * patch)).permute(0, 3, 2, 1).flatten(2)
        return self.network(
            pixel_values=patches_BPF,
            pixel_attention_mask=None,  # no padding: those of a batch have one size
            spatial_shapes=torch.tensor([grid]).expand(len(pixels_B3HW), 2),
            **asked,
        )


def describe_backbone(
    checkpoint: Checkpoint,
    layers: Layers | None,
    layer_join: LayerJoin,
    image_pixels: int | None,
) -> BackboneShape:
    """Returns the shape in the checkpoint's configurations; no weights are read.

    Args:
        layers: of which layers the features are; the last by default.
        layer_join: how several become one.
        image_pixels: side of the images; the processor's, or else the configuration's, by default.
            The position embeddings are interpolated for others.

    Raises:
        UserError: no vision model that is known, no such layer, or no whole number of patches.
    """
    config = _vision_config(checkpoint)
    preprocessing = read_preprocessing(checkpoint)
    depth, patch = config.num_hidden_layers, config.patch_size
    side = image_pixels or preprocessing.image_pixels or config.image_size
    if side % patch:
        raise UserError(
            f"is not a multiple of the {patch} pixels of a patch of {checkpoint.name}",
            setting="image_pixels",
            value=side,
            remedy="choose one",
        )
    try:
        chosen = numbers_of(layers, depth)
    except ValueError as error:
        raise UserError(
            f", but {checkpoint.name} has {depth} layers",
            setting="layers",
            value=layers,
            remedy=str(error),
        ) from None
    family, width = config.model_type, config.hidden_size
    return BackboneShape(family, width, patch, side, chosen, layer_join, depth, preprocessing)


def _vision_config(checkpoint: Checkpoint) -> Any:
    """Returns transformers' configuration of the vision tower."""
    if "_class_name" in checkpoint.read_json(CONFIG):
        of_vae = checkpoint.kind == "AutoencoderKL"
        remedy = f"set {setting('kind')} = 'vae'" if of_vae else "name another"
        raise checkpoint.unfit(f"is of class {checkpoint.kind}, no vision model", remedy)
    from transformers import AutoConfig  # slow to import; after what needs no more than JSON

    try:
        with quiet_loading():
            config = AutoConfig.from_pretrained(checkpoint.folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{checkpoint.folder / CONFIG} does not describe a model of transformers: {error}"
        ) from error
    config = getattr(config, "vision_config", config)
    if config.model_type not in LAST_NORM:
        raise checkpoint.unfit(
            f"is of type {config.model_type}",
            f"the vision models that are known are {', '.join(LAST_NORM)}",
        )
    if config.num_channels != 3:
        raise checkpoint.unfit(f"reads {config.num_channels} colours, not 3")
    return config
