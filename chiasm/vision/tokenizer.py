"""The protocol of all vision tokenizers: pictures to standardised latents and back.

Shape suffixes: B pictures, H and W their height and width in pixels, N image slots of a batch,
P latent tokens of one picture, L latent tokens of all pictures (flattened), G those of targets, U
those of context pictures, C latent channels, A those of context pictures that have a tokenizer of
their own.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from chiasm.batch.latents import ImageLatents
from chiasm.batch.packed import AnyShape, ImageShape, ImageSlots
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
    def draws(self) -> bool:
        """Whether latents can be made pictures again."""
        return True

    @property
    def context(self) -> VisionTokenizer | None:
        """The tokenizer of context pictures, where it is another one."""
        return None

    @property
    def context_channels(self) -> int | None:
        """A: channels of context pictures that have a tokenizer of their own; else None."""
        return None if self.context is None else self.context.channels

    @property
    def shapes(self) -> AnyShape:
        """What the pictures of a run are cut to, by the part that they play."""
        return self.image_shape

    @property
    def parts(self) -> tuple[VisionTokenizer, ...]:
        """The tokenizers that have statistics of their own: itself, or two."""
        return (self,)

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


def encode_images(tokenizer: VisionTokenizer, slots: ImageSlots) -> ImageLatents:
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
    tokenizer: VisionTokenizer, pictures: Sequence[Tensor], device: torch.device
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


def _encode_part(tokenizer: VisionTokenizer, slots: ImageSlots, *, target: bool) -> Tensor:
    """Standardised latents [G, C] or [U, A] of the pictures that play one part, in their order."""
    raw = slots.raw_GC if target else slots.raw_UA
    if raw is not None:
        return tokenizer.statistics.standardise(raw)
    # Where latents were read there are no pixels at all, also if none of them plays this part.
    parts = zip(slots.pixels, slots.target_N.tolist(), strict=bool(slots.pixels))
    pictures = [pixels for pixels, part in parts if part == target]
    return encode_pictures(tokenizer, pictures, slots.row_N.device)
