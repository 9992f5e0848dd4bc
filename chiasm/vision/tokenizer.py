"""What tokenizers of pictures share, and the latents of a batch's image slots.

Shape suffixes: B pictures, H and W their height and width in pixels, N image slots of a batch,
P latent tokens of one picture, L latent tokens of all pictures (flattened), G those of targets, U
those of context pictures, C latent channels, A those of context pictures that have a tokenizer of
their own.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from chiasm.batch.latents import ImageLatents
from chiasm.batch.packed import ImageShape, ImageSlots
from chiasm.errors import UserError
from chiasm.rgb import Given, decoded, fitted, held
from chiasm.tokenizers.parts import Decoder, Encoder
from chiasm.tokenizers.tokenizer import Tokenizer


class PictureEncoder(Encoder):
    """Pictures [B, 3, H, W] to latents; a subclass defines :meth:`features`."""

    modality = "vision"
    preprocessing = "RGB in [0, 1]"

    def __init__(self, image_shape: ImageShape, channels: int) -> None:
        super().__init__()
        self.image_shape = image_shape
        self.grid = (image_shape.rows, image_shape.columns)
        self.channels = channels

    @abstractmethod
    def features(self, images_B3HW: Tensor) -> Tensor:
        """Returns latents [B, P, C] of pictures in [0, 1], with gradients to the pictures."""

    def read(self, data: Given) -> Tensor:
        """Returns a picture, uint8 [3, H, W], cropped to the centre and resized.

        Raises:
            UserError: it cannot be decoded.
        """
        shape = self.image_shape
        pixels = fitted(decoded(held(data)), shape.height_pixels, shape.width_pixels)
        return torch.from_numpy(pixels.transpose(2, 0, 1).copy())

    def encode(self, items_B: Tensor) -> Tensor:
        """Returns latents [B, P, C] of pictures, uint8 or float in [0, 1].

        Raises:
            UserError: they are not of this encoder's size, or of that range.
        """
        self._check_size(items_B)
        if items_B.is_floating_point():
            _check_range(items_B)
        return self.features(as_floats(items_B))

    @property
    def form(self) -> str:
        """Size of pictures and grid."""
        return str(self.image_shape)

    def _check_size(self, images_B3HW: Tensor) -> None:
        expected = (3, self.image_shape.height_pixels, self.image_shape.width_pixels)
        if tuple(images_B3HW.shape[1:]) != expected:
            raise UserError(
                f"the tokenizer takes pictures of shape {expected}, not "
                f"{tuple(images_B3HW.shape[1:])}; set the source's picture size to "
                f"{expected[1]}x{expected[2]} pixels or choose another tokenizer"
            )


class PictureDecoder(Decoder):
    """Latents to pictures [B, 3, H, W] in [0, 1]; a subclass defines :meth:`draw`."""

    @abstractmethod
    def draw(self, raw_BPC: Tensor) -> Tensor:
        """Returns pictures [B, 3, H, W], not yet clamped."""

    def decode(self, raw_BPC: Tensor) -> Tensor:
        """Returns pictures [B, 3, H, W] in [0, 1]."""
        return self.draw(raw_BPC).clamp(0, 1)

    def payload(self, item: Tensor) -> np.ndarray:
        """Returns a picture [3, H, W] as uint8 [H, W, 3]."""
        pixels = item.mul(255).round().to(torch.uint8)
        return pixels.permute(1, 2, 0).contiguous().cpu().numpy()


def _check_range(images: Tensor) -> None:
    # Interpolation may leave the range by a rounding error.
    if not bool(((images >= -1e-3) & (images <= 1 + 1e-3)).all()):
        raise UserError(
            f"pictures have values from {float(images.min()):g} to {float(images.max()):g}; give "
            "uint8, or floats in [0, 1]"
        )


def as_floats(images: Tensor) -> Tensor:
    """uint8 pictures to float32 in [0, 1]; floats pass unchanged."""
    return images.float() / 255 if images.dtype == torch.uint8 else images


def encode_images(tokenizer: Tokenizer, slots: ImageSlots) -> ImageLatents:
    """All standardised latents of a batch's pictures, in the order of its slots, on their device.

    Pictures of equal size are encoded together; latents that were read are standardised alone.
    """
    if tokenizer.context is None and slots.pixels:
        return ImageLatents(encode_pictures(tokenizer, slots.pixels, slots.row_N.device))
    target_GC = _encode_part(tokenizer, slots, target=True)
    context_UA = _encode_part(tokenizer.context or tokenizer, slots, target=False)
    z_LC = target_GC.new_zeros(len(slots.image_L), tokenizer.channels)
    z_LC = z_LC.index_copy(0, slots.target_G, target_GC)
    if tokenizer.context is None:
        return ImageLatents(z_LC.index_copy(0, slots.context_U, context_UA))
    return ImageLatents(z_LC, context_UA)


def encode_pictures(
    tokenizer: Tokenizer, pictures: Sequence[Tensor], device: torch.device
) -> Tensor:
    """Standardised latents [L, C] of pictures [3, H, W], one after another.

    Those of equal size are encoded together.
    """
    groups: dict[torch.Size, list[int]] = {}
    for number, pixels in enumerate(pictures):
        groups.setdefault(pixels.shape, []).append(number)
    latents_N: dict[int, Tensor] = {}
    for members in groups.values():
        stacked = torch.stack([pictures[number] for number in members]).to(device)
        latents_N.update(zip(members, tokenizer.encode(stacked), strict=True))
    if not latents_N:
        return torch.zeros(0, tokenizer.channels, device=device)
    return torch.cat([latents_N[number] for number in range(len(pictures))])


def _encode_part(tokenizer: Tokenizer, slots: ImageSlots, *, target: bool) -> Tensor:
    """Standardised latents [G, C] or [U, A] of the pictures that play one part, in their order."""
    raw = slots.raw_GC if target else slots.raw_UA
    if raw is not None:
        return tokenizer.statistics.standardise(raw)
    # Where latents were read there are no pixels at all, also if none of them plays this part.
    parts = zip(slots.pixels, slots.target_N.tolist(), strict=bool(slots.pixels))
    pictures = [pixels for pixels, part in parts if part == target]
    return encode_pictures(tokenizer, pictures, slots.row_N.device)
