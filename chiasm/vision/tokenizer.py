"""The protocol of all vision tokenizers: pictures to standardised latents and back.

Shape suffixes: B or N pictures, H and W their height and width in pixels, P latent tokens of one
picture, L latent tokens of all pictures (flattened), C latent channels.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from chiasm.data.pictures import ImageShape, decode_picture
from chiasm.documents import Image
from chiasm.errors import UserError
from chiasm.vision.statistics import LatentStatistics, RunningStatistics


class VisionTokenizer(nn.Module):
    """Pictures [B, 3, H, W] in [0, 1] to and from latents [B, P, C], standardised per channel.

    A kind of tokenizer subclasses this and defines ``encode_raw`` and ``decode_raw``. Its weights
    are frozen: neither direction of :meth:`encode` and :meth:`decode` makes gradients.
    """

    name: str
    """Names the kind and its weights, e.g. ``rae-embedded-world``."""
    preprocessing = "RGB in [0, 1]"
    modality = "vision"

    def __init__(self, image_shape: ImageShape, statistics: LatentStatistics) -> None:
        super().__init__()
        self.image_shape = image_shape
        self._statistics = statistics

    @property
    def statistics(self) -> LatentStatistics:
        """What latents are standardised by."""
        return self._statistics

    @statistics.setter
    def statistics(self, statistics: LatentStatistics) -> None:
        self._statistics = statistics

    @property
    def channels(self) -> int:
        """C."""
        return self.statistics.channels

    @property
    def grid(self) -> tuple[int, ...]:
        """Latent tokens of a picture along each axis: rows and columns."""
        return (self.image_shape.rows, self.image_shape.columns)

    @property
    def num_tokens(self) -> int:
        """P."""
        return self.image_shape.num_tokens

    @property
    def decodes(self) -> bool:
        """Whether latents can be made pictures again."""
        return True

    def read(self, data: Any) -> Tensor:
        """Returns a span's payload as uint8 [3, H, W].

        Raises:
            UserError: it cannot be decoded.
        """
        return decode_picture(Image(data, target=False), self.image_shape)

    def span(self, item: Tensor, stream: str) -> Image:
        """Returns one decoded item [3, H, W] as a context picture of a stream."""
        pixels_3HW = (item * 255).round().to(torch.uint8)
        return Image(pixels_3HW.permute(1, 2, 0).cpu().numpy(), target=False, stream=stream)

    def encode_items(self, items: Sequence[Tensor], device: torch.device) -> Tensor:
        """Returns the standardised latents [L, C] of items, one after another.

        Those of equal size are encoded together.
        """
        groups: dict[torch.Size, list[int]] = {}
        for number, item in enumerate(items):
            groups.setdefault(item.shape, []).append(number)
        latents_N: dict[int, Tensor] = {}
        for members in groups.values():
            stacked = torch.stack([items[number] for number in members]).to(device)
            latents_N.update(zip(members, self.encode(stacked), strict=True))
        if not latents_N:
            return torch.zeros(0, self.channels, device=device)
        return torch.cat([latents_N[number] for number in range(len(items))])

    @abstractmethod
    def encode_raw(self, images_B3HW: Tensor) -> Tensor:
        """Pictures in [0, 1] to latents [B, P, C] before they are standardised."""

    @abstractmethod
    def decode_raw(self, raw_BPC: Tensor) -> Tensor:
        """Latents before they are standardised to pictures [B, 3, H, W], not yet clamped."""

    @torch.no_grad()
    def encode(self, images_B3HW: Tensor) -> Tensor:
        """Pictures, uint8 or float in [0, 1], to standardised latents [B, P, C].

        Raises:
            UserError: the pictures are not of this tokenizer's size, or of that range.
        """
        self._check_size(images_B3HW)
        if images_B3HW.is_floating_point():
            _check_range(images_B3HW)
        return self.statistics.standardise(self.encode_raw(as_floats(images_B3HW)))

    @torch.no_grad()
    def decode(self, latents_BPC: Tensor) -> Tensor:
        """Standardised latents [B, P, C] to pictures [B, 3, H, W] in [0, 1]."""
        return self.decode_raw(self.statistics.restore(latents_BPC)).clamp(0, 1)

    @property
    def fingerprint(self) -> str:
        """Hash of the kind, the weights and the statistics: equal latents have equal prints."""
        digest = hashlib.sha256(f"{self.name} {self.image_shape} {self.statistics}".encode())
        for name, tensor in sorted(self.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    @torch.no_grad()
    def measure(self, batches: Iterable[Tensor], *, data: str) -> LatentStatistics:
        """Replace the statistics by those of these pictures, and return them.

        ``batches`` are pictures [B, 3, H, W], uint8 or float in [0, 1]; ``data`` names them.
        """
        running = RunningStatistics(self.channels)
        for images in batches:
            floats = as_floats(images)
            self._check_size(floats)
            running.update(self.encode_raw(floats))
        self.statistics = running.finish(
            encoder=self.statistics.encoder, preprocessing=self.preprocessing, data=data
        )
        return self.statistics

    def adopt(self, statistics: LatentStatistics, where: str) -> None:
        """Standardise by statistics that were measured before, of which ``where`` tells.

        Raises:
            UserError: they are those of another encoder or of other preprocessing.
        """
        for what in ("encoder", "preprocessing", "channels"):
            there, here = getattr(statistics, what), getattr(self.statistics, what)
            if there != here:
                raise UserError(
                    f"{where} holds statistics of other latents than those of {self.name}: "
                    f"{what} {there} there, {here} here; measure them again (chiasm vision stats)"
                )
        self.statistics = statistics

    def _check_size(self, images_B3HW: Tensor) -> None:
        expected = (3, self.image_shape.height_pixels, self.image_shape.width_pixels)
        if tuple(images_B3HW.shape[1:]) != expected:
            raise UserError(
                f"the vision tokenizer {self.name} takes pictures of shape {expected}, not "
                f"{tuple(images_B3HW.shape[1:])}; set the source's picture size to "
                f"{expected[1]}x{expected[2]} pixels or choose another tokenizer"
            )


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
