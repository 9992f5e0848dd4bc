"""diffusers' ``AutoencoderRAE``: a representation encoder, and the ViT decoder of its features.

Zheng et al., "Diffusion Transformers with Representation Autoencoders" (arXiv 2510.11690). The
decoder is used on its own, as diffusers' own class, since it fits any encoder of the same shape;
the encoder, where a run has no other, comes with the whole autoencoder.

Shape suffixes: B images, P latent tokens of one image, C channels.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from shutil import copymode
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from chiasm.errors import UserError, setting
from chiasm.tokenizers.statistics import LatentStatistics
from chiasm.vision.published.backbone import Backbone, BackboneShape
from chiasm.vision.published.checkpoint import (
    CONFIG,
    WEIGHTS,
    Checkpoint,
    load_autoencoder,
    reading_weights,
)
from chiasm.vision.published.part import PublishedPart
from chiasm.vision.published.preprocessing import Preprocessing
from chiasm.vision.tokenizer import PictureDecoder
from chiasm.whole import write_json

NAME = "AutoencoderRAE"

FAMILIES = {"dinov2": "dinov2_with_registers", "siglip2": "siglip_vision_model"}
"""Its names of encoders → those of transformers."""

PREFIX = "decoder."
"""Prefix of the names of the decoder's weights."""

_ADDED_TO_STD = 1e-5
"""What diffusers adds to deviations before it divides by them."""


@dataclass(frozen=True)
class RaeShape:
    """The shape in an autoencoder's configuration, before weights are read."""

    backbone: BackboneShape
    decoder: dict[str, Any]
    """Arguments of diffusers' RAEDecoder."""

    def refuse(self, other: BackboneShape, decoder: Checkpoint, encoder: str) -> None:
        """Raises an error unless the decoder was made for such features.

        Raises:
            UserError: another kind of encoder, width, grid or layer.
        """
        mine = self.backbone
        differences = [
            f"{what} {wanted}, not {given}"
            for what, wanted, given in (
                ("the kind", mine.family, other.family),
                ("channels", mine.channels, other.channels),
                ("a grid with a side of", mine.grid, other.grid),
                ("the features of", mine.read, other.read),
            )
            if wanted != given
        ]
        if differences:
            raise decoder.unfit(
                f"does not fit the encoder {encoder}: it draws {', '.join(differences)}",
                "name the decoder that was trained for this encoder, choose "
                f"{setting('image_pixels')} and {setting('layers')} to suit it, or leave it out",
            )


class RaePixelDecoder(PublishedPart, PictureDecoder, kind="AutoencoderRAE decoder"):
    """Maps an encoder's features [B, P, C] to images around [0, 1]."""

    named_by = "decoder"

    def __init__(
        self, decoder: Any, preprocessing: Preprocessing, image_pixels: int, checkpoint: Checkpoint
    ) -> None:
        """``decoder`` is diffusers' RAEDecoder in float32, ``image_pixels`` the encoder's."""
        super().__init__(decoder, checkpoint, {"image_pixels": image_pixels})
        self.preprocessing = preprocessing
        self.size = (image_pixels, image_pixels)

    def draw(self, raw_BPC: Tensor) -> Tensor:
        """Returns images [B, 3, H, W], scaled to the size of the encoder's input."""
        drawn = self.network(raw_BPC.to(self.network.decoder_embed.weight.dtype)).logits
        drawn_B3HW = self.preprocessing.restore(self.network.unpatchify(drawn).float())
        if drawn_B3HW.shape[2:] == self.size:
            return drawn_B3HW
        return functional.interpolate(drawn_B3HW, self.size, mode="bicubic", antialias=True)

    def carry(self, folder: Path, statistics: LatentStatistics) -> dict[str, Any]:
        """Writes the autoencoder; diffusers' latents are then standardized as these are."""
        changed = super().carry(folder, statistics)
        if statistics.count:
            _standardize(folder / changed["path"], statistics)
        return changed

    @classmethod
    def load(cls, checkpoint: Checkpoint, image_pixels: int) -> Any:
        """Returns the decoder alone; ``image_pixels`` is the side of the encoder's input.

        Raises:
            UserError: as :func:`describe_rae`; or weights are missing, of other shapes, or damaged.
        """
        from diffusers.models.autoencoders.autoencoder_rae import RAEDecoder

        shape = describe_rae(checkpoint)
        decoder = RAEDecoder(**shape.decoder)
        weights: dict[str, Tensor] = {}
        with reading_weights(checkpoint):
            for path in checkpoint.folder.glob(WEIGHTS):
                with safe_open(path, framework="pt") as file:
                    weights |= {
                        name.removeprefix(PREFIX): file.get_tensor(name).float()
                        for name in file.keys()  # noqa: SIM118 (no dictionary)
                        if name.startswith(PREFIX)
                    }
            weights.pop("decoder_pos_embed", None)  # computed; older files hold it all the same
            decoder.load_state_dict(weights)
        return cls(decoder, shape.backbone.preprocessing, image_pixels, checkpoint)


class RaeBackbone(Backbone, kind="AutoencoderRAE encoder"):
    """The encoder of an autoencoder."""

    @classmethod
    def load(cls, checkpoint: Checkpoint, *_: Any, **used: Any) -> Any:
        """Returns the encoder, used as the autoencoder's configuration says.

        Raises:
            UserError: as :func:`describe_rae`; it cannot be read, or these versions of diffusers
                and transformers disagree.
        """
        from diffusers import AutoencoderRAE

        shape = describe_rae(checkpoint).backbone
        try:
            autoencoder = load_autoencoder(AutoencoderRAE, checkpoint)
        except (AttributeError, OSError, RuntimeError, ValueError, SafetensorError) as error:
            raise UserError(
                f"diffusers cannot read the encoder of {checkpoint.where} ({error}); name the "
                f"encoder itself in {setting('path')}, and {checkpoint.name} in "
                f"{setting('decoder')}"
            ) from error
        return cls(autoencoder.encoder, shape, checkpoint)


def _standardize(folder: Path, statistics: LatentStatistics) -> None:
    """Writes latent statistics into the files of an autoencoder."""
    content = json.loads((folder / CONFIG).read_text())
    shape = (-1, 1, 1) if content.get("reshape_to_2d", True) else (-1,)
    own = {
        "latents_mean": torch.tensor(statistics.mean_C).reshape(shape),
        "latents_std": torch.tensor(statistics.std_C).reshape(shape) - _ADDED_TO_STD,
    }
    lists = {name: tensor.tolist() for name, tensor in own.items()}
    write_json(folder / CONFIG, {**content, **lists, "scaling_factor": 1.0})
    for path in folder.glob(WEIGHTS):
        weights = load_file(path)
        if there := {f"_{name}": own[name] for name in own if f"_{name}" in weights}:
            save_file(weights | there, path, metadata={"format": "pt"})
            copymode(folder / CONFIG, path)  # it was written for its owner alone


def describe_rae(checkpoint: Checkpoint) -> RaeShape:
    """Returns the shape in the configuration; no weights are read.

    Raises:
        UserError: it is no AutoencoderRAE, or one of an encoder that is not known.
    """
    if checkpoint.kind != NAME:
        raise checkpoint.unfit(
            f"is of class {checkpoint.kind}", f"a decoder of pictures is an {NAME}"
        )
    try:
        return _shape(checkpoint.read_json(CONFIG))
    except KeyError as error:
        raise UserError(
            f"{checkpoint.folder / CONFIG} lacks {error}, or names an encoder other than "
            f"{', '.join(FAMILIES)}"
        ) from error


def _shape(content: dict[str, Any]) -> RaeShape:
    size, patch = content["encoder_input_size"], content["encoder_patch_size"]
    depth, channels = content["encoder_num_hidden_layers"], content["encoder_hidden_size"]
    # The defaults are diffusers' own: ImageNet's.
    mean = content.get("encoder_norm_mean") or (0.485, 0.456, 0.406)
    deviation = content.get("encoder_norm_std") or (0.229, 0.224, 0.225)
    preprocessing = Preprocessing(1.0, tuple(mean), tuple(deviation), size)
    family = FAMILIES[content["encoder_type"]]
    backbone = BackboneShape(family, channels, patch, size, (depth,), "sum", depth, preprocessing)
    decoder = {
        "hidden_size": channels,
        "num_patches": backbone.grid**2,
        "image_size": backbone.grid * content["patch_size"],
        "patch_size": content["patch_size"],
        "num_channels": content["num_channels"],
        **{name: value for name, value in content.items() if name.startswith("decoder_")},
    }
    return RaeShape(backbone, decoder)
