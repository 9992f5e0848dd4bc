"""A small representation autoencoder: a frozen semantic encoder and a decoder of its features.

Zheng et al., "Diffusion Transformers with Representation Autoencoders" (arXiv 2510.11690), at a
size that a laptop trains: what a frozen SigLIP 2 with its decoder is to the paper, this is to the
embedded world.

Shape suffixes: B pictures, H and W height and width in pixels, Y and X rows and columns of the
latent grid, P = Y * X latent tokens of one picture, C latent channels, D width.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Discriminator, Field, Tag
from torch import Tensor, nn
from torch.nn import functional

from chiasm.data.pictures import ImageShape
from chiasm.errors import UserError
from chiasm.roles import Role
from chiasm.settings import Settings
from chiasm.vision.attention import AttentionBlock
from chiasm.vision.encoder import CELL_PIXELS, Encoder, EncoderSettings, Residual, encoder_shape
from chiasm.vision.statistics import LatentStatistics
from chiasm.vision.tokenizer import VisionTokenizer
from chiasm.vision.vit import ViTDecoder, ViTDecoderSettings


class ConvolutionalDecoderSettings(Settings):
    """Shape of the learned residual of a decoder that begins as a linear one."""

    kind: Literal["convolutional"] = "convolutional"
    widths: tuple[int, int, int] = (192, 96, 48)
    """Channels at 1/16, 1/8 and 1/4 of the picture; the first is the attention's."""
    blocks: int = Field(default=2, ge=0)
    """Attention blocks over the cells."""


def _decoder_kind(value: Any) -> str:
    given = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return str(given or "convolutional")


DecoderSettings = Annotated[
    Annotated[ConvolutionalDecoderSettings, Tag("convolutional")]
    | Annotated[ViTDecoderSettings, Tag("vit")],
    Discriminator(_decoder_kind),
]
"""Which decoder: ``convolutional`` if no kind is given."""


class LinearDecoder(nn.Module):
    """Each cell's pixels as a linear function of its 3 x 3 neighbourhood of latents.

    Its best weights have a closed form (:mod:`chiasm.vision.learning.ridge`), from which training
    starts.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, 3 * CELL_PIXELS**2, 3, padding=1)

    def forward(self, x_BCYX: Tensor) -> Tensor:
        """Latents on their grid to pictures [B, 3, H, W] around 0."""
        return functional.pixel_shuffle(self.convolution(x_BCYX), CELL_PIXELS)


class ConvolutionalDecoder(nn.Module):
    """Standardised features [B, P, C] to pictures: the linear decoder plus a learned residual."""

    roles: ClassVar = {"place_PD": Role.TABLE}

    def __init__(
        self, settings: ConvolutionalDecoderSettings, channels: int, rows: int, columns: int
    ) -> None:
        super().__init__()
        wide, middle, narrow = settings.widths
        self.grid = (rows, columns)
        self.linear = LinearDecoder(channels)
        self.enter = nn.Linear(channels, wide)
        self.place_PD = nn.Parameter(torch.randn(rows * columns, wide) * 0.02)
        self.blocks = nn.ModuleList(AttentionBlock(wide) for _ in range(settings.blocks))
        self.rise = nn.Sequential(
            nn.Conv2d(wide, 4 * middle, 1),
            nn.PixelShuffle(2),
            Residual(middle),
            nn.Conv2d(middle, 4 * narrow, 1),
            nn.PixelShuffle(2),
            Residual(narrow),
            nn.GroupNorm(1, narrow),
            nn.GELU(),
            nn.Conv2d(narrow, 3 * 16, 3, padding=1),
            nn.PixelShuffle(4),
        )
        last = self.rise[-2]
        assert isinstance(last, nn.Conv2d)
        assert last.bias is not None
        nn.init.zeros_(last.weight)  # the residual starts at nothing: the linear decoder alone
        nn.init.zeros_(last.bias)

    @property
    def last_weight(self) -> Tensor:
        """The weight that every drawn pixel of the residual passes last."""
        last = self.rise[-2]
        assert isinstance(last, nn.Conv2d)
        return last.weight

    def forward(self, x_BPC: Tensor) -> Tensor:
        """Pictures [B, 3, H, W], not clamped."""
        x_BPD = self.enter(x_BPC) + self.place_PD
        for block in self.blocks:
            x_BPD = block(x_BPD)
        residual = self.rise(x_BPD.mT.unflatten(2, self.grid))
        return self.linear(x_BPC.mT.unflatten(2, self.grid)) + residual


Decoder = ConvolutionalDecoder | ViTDecoder


class RaeTokenizer(VisionTokenizer):
    """A frozen encoder and the decoder of its features."""

    def __init__(
        self,
        name: str,
        encoder: Encoder,
        decoder: Decoder,
        statistics: LatentStatistics,
        encoder_settings: EncoderSettings,
        decoder_settings: DecoderSettings,
    ) -> None:
        """``statistics`` are those the decoder was trained with; :meth:`measure` keeps them."""
        super().__init__(encoder_shape(encoder_settings), statistics)
        self.name = name
        self.encoder = encoder
        self.decoder = decoder
        self.decoder_statistics = statistics
        self.encoder_settings = encoder_settings
        self.decoder_settings = decoder_settings
        self.requires_grad_(False)
        self.eval()

    def encode_raw(self, images_B3HW: Tensor) -> Tensor:
        """The encoder's features [B, P, C]."""
        return self.encoder.latents(images_B3HW)

    def decode_raw(self, raw_BPC: Tensor) -> Tensor:
        """Pictures from the encoder's features."""
        return self.decoder(self.decoder_statistics.standardise(raw_BPC))


class RedecodedTokenizer(VisionTokenizer):
    """Any frozen tokenizer's latents, drawn by a decoder that was trained for them here."""

    def __init__(
        self,
        name: str,
        frozen: VisionTokenizer,
        decoder: Decoder,
        statistics: LatentStatistics,
        decoder_settings: DecoderSettings,
    ) -> None:
        """``statistics`` are those the decoder was trained with; :meth:`measure` keeps them."""
        super().__init__(frozen.image_shape, statistics)
        self.name = name
        self.preprocessing = frozen.preprocessing
        self.frozen = frozen
        self.decoder = decoder
        self.decoder_statistics = statistics
        self.decoder_settings = decoder_settings
        self.requires_grad_(False)
        self.eval()

    def encode_raw(self, images_B3HW: Tensor) -> Tensor:
        """What the frozen tokenizer makes of them: [B, P, C]."""
        return self.frozen.encode_raw(images_B3HW)

    def decode_raw(self, raw_BPC: Tensor) -> Tensor:
        """Pictures from the frozen tokenizer's latents."""
        return self.decoder(self.decoder_statistics.standardise(raw_BPC))

    @property
    def fingerprint(self) -> str:
        """As of every tokenizer; the frozen one tells of itself."""
        digest = hashlib.sha256(f"{self.name} {self.statistics} {self.frozen.fingerprint}".encode())
        for _, tensor in sorted(self.decoder.state_dict().items()):
            digest.update(tensor.cpu().numpy().tobytes())
        return digest.hexdigest()


def new_decoder(settings: DecoderSettings, channels: int, shape: ImageShape, seed: int) -> Decoder:
    """An untrained decoder of C channels on a grid; its weights depend on the seed alone.

    Raises:
        UserError: the decoder cannot draw cells of this size.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if isinstance(settings, ViTDecoderSettings):
            return ViTDecoder(settings, channels, shape)
        cell = (shape.height_pixels // shape.rows, shape.width_pixels // shape.columns)
        if cell != (CELL_PIXELS, CELL_PIXELS):
            raise UserError(
                f'decoder.kind = "convolutional" draws {CELL_PIXELS} x {CELL_PIXELS} pixels of '
                f"each latent token, but here a token stands for {cell[0]} x {cell[1]}; set "
                'decoder.kind = "vit"'
            )
        return ConvolutionalDecoder(settings, channels, shape.rows, shape.columns)
