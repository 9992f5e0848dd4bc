"""The whole model: a Llama-shaped decoder over tokens and latents.

Choices: RMSNorm before each part; rotary positions counted inside the document; grouped-query
attention, queries and keys normalised; SwiGLU experts chosen by a rule; untied text embedding and
head; latents enter and leave through one linear layer each; no biases.

Shape suffixes: B rows, T positions, M = B·T, D width, K head width, V vocabulary, L latent tokens
of all images, C latent channels, R chosen rows, X = 6·D. Where context images have channels of
their own: G latent tokens of target images, U of context images, A channels of the latter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chiasm.batch.latents import ImageLatents
from chiasm.batch.packed import Modality, PackedBatch
from chiasm.model.block import Block, Shared, new_norm, normed
from chiasm.model.cache import KeyValueCache
from chiasm.model.experts import MixtureOfExperts
from chiasm.model.initialise import initialise
from chiasm.model.kernels import AttentionMask
from chiasm.model.latents import PlaceEmbedding, TimeEmbedding
from chiasm.model.layers import Linear, ModalityNorm, RotaryTable
from chiasm.model.mask import IntervalMask
from chiasm.model.router import Choice
from chiasm.model.routing import Routing
from chiasm.model.settings import ModelSettings
from chiasm.model.work import Parameters, Work
from chiasm.roles import Role


@dataclass(frozen=True)
class ContextLatents:
    """Latents of context images that a tokenizer of their own made."""

    z_UA: Tensor
    """float: standardised and clean."""
    context_U: Tensor
    """int64: which of the L latent tokens they are."""
    target_G: Tensor
    """int64: which are the others."""

    @classmethod
    def from_batch(cls, batch: PackedBatch, z_UA: Tensor | None) -> ContextLatents | None:
        """Those of a packed batch; None where one tokenizer made the latents of all images."""
        if z_UA is None:
            return None
        return cls(z_UA, batch.images.context_U, batch.images.target_G)


@dataclass(frozen=True)
class DecoderInput:
    """What the decoder reads: tokens everywhere, latents where images lie."""

    ids_BT: Tensor
    """int64: token numbers; those at vision positions are not read."""
    modality_BT: Tensor
    """int64: a :class:`chiasm.batch.packed.Modality` for each position."""
    position_BT: Tensor
    """int64: rotary position, counted from the start of the document."""
    z_LC: Tensor
    """float: latents as the model sees them, (1 - t)·noise + t·data; not read where ``context``
    has others."""
    time_L: Tensor
    """float: flow time of each latent token; 0 is noise, 1 is data."""
    latent_position_L: Tensor
    """int64: where each latent token lies in the flattened [B·T] positions."""
    yx_L2: Tensor
    """int64: row and column of each latent token inside its image."""
    context: ContextLatents | None = None
    """Latents with channels of their own; None: ``z_LC`` has those of every image."""

    @classmethod
    def from_batch(cls, batch: PackedBatch, latents: ImageLatents, time_N: Tensor) -> DecoderInput:
        """Read a packed batch whose images hold these latents, noised to flow times ``time_N``."""
        return cls(
            ids_BT=batch.ids_BT,
            modality_BT=batch.modality_BT,
            position_BT=batch.position_BT,
            z_LC=latents.z_LC,
            time_L=time_N[batch.images.image_L],
            latent_position_L=batch.latent_position_L,
            yx_L2=batch.images.yx_L2,
            context=ContextLatents.from_batch(batch, latents.context_UA),
        )


class Decoder(nn.Module):
    """Tokens, latents and a mask in, hidden vectors out; two heads on rows that the caller picks.

    Args:
        settings: its shape.
        vocabulary: V, token numbers including the special ones.
        latent_channels: C of the vision tokenizer.
        context_channels: A of the tokenizer of context images, where it is another one; they
            then enter through a linear layer of their own.
        seed: of the first weights; each parameter's values depend on it and on its name alone.
        compute_dtype: of activations and matrix products; weights stay as they are.
    """

    roles: ClassVar = {"token_embedding": Role.TABLE}

    def __init__(
        self,
        settings: ModelSettings,
        *,
        vocabulary: int,
        latent_channels: int,
        context_channels: int | None = None,
        seed: int = 0,
        compute_dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        width = settings.width
        self.settings, self.compute_dtype = settings, compute_dtype
        self.vocabulary, self.latent_channels = vocabulary, latent_channels
        self.context_channels = context_channels
        self.token_embedding = nn.Parameter(torch.empty(vocabulary, width))
        self.latent_embedding = Linear(latent_channels, width)
        if context_channels is not None:
            self.context_embedding = Linear(context_channels, width)
        self.time_embedding = TimeEmbedding(width)
        self.place_embedding = PlaceEmbedding(settings)
        self.rotary = RotaryTable(settings.K, settings.rope_base)
        self.blocks = nn.ModuleList(Block(settings, number) for number in range(settings.depth))
        self.final_norm = new_norm(settings)
        self.text_head = Linear(width, vocabulary)
        self.latent_head = Linear(width, latent_channels)
        if settings.time_conditioning == "adaptive":
            self.time_modulation = Linear(width, 6 * width)
        initialise(self, settings, seed)

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.token_embedding.device

    def forward(
        self, inputs: DecoderInput, mask: IntervalMask, cache: KeyValueCache | None = None
    ) -> Tensor:
        """Hidden vectors [B, T, D] after the final norm, for the heads; see :meth:`trace`."""
        return self.trace(inputs, mask, cache)[0]

    def trace(
        self, inputs: DecoderInput, mask: IntervalMask, cache: KeyValueCache | None = None
    ) -> tuple[Tensor, list[Choice]]:
        """Hidden vectors [B, T, D] after the final norm, and what each block's router chose.

        With a cache, the T positions continue what its rows hold, ``mask`` counts keys in the
        cache's slots, and what is new is written but not yet held (see
        :meth:`chiasm.model.cache.KeyValueCache.advance`).
        """
        x_BTD, time_LD = self._embed(inputs)
        held_B = cache.lengths_B if cache is not None else None
        shared = self._share(inputs, AttentionMask(mask, held_B), time_LD)
        num_positions = inputs.ids_BT.shape[1]
        past = cache.layers(num_positions) if cache is not None else [None] * len(self.blocks)
        choices = []
        for block, layer in zip(self.blocks, past, strict=True):
            x_BTD, choice = block(x_BTD, shared, layer)
            choices += [choice] if choice is not None else []
        return normed(self.final_norm, x_BTD, shared), choices

    def new_cache(self, rows: int, capacity: int) -> KeyValueCache:
        """Returns an empty cache of ``capacity`` slots for each of ``rows`` rows."""
        like = self.token_embedding.new_empty(0, dtype=self.compute_dtype)
        layers = [block.attention.new_cache(rows, capacity, like) for block in self._blocks()]
        lengths_B = torch.zeros(rows, dtype=torch.int64, device=self.device)
        return KeyValueCache(layers, capacity, lengths_B)

    def text_logits(self, x_RD: Tensor) -> Tensor:
        """Hidden vectors [R, D] → scores of the next token [R, V]."""
        return self.text_head(x_RD)

    def latent_output(self, x_LD: Tensor) -> Tensor:
        """Hidden vectors [L, D] → the flow's prediction [L, C]; the objective says of what."""
        return self.latent_head(x_LD)

    def count_parameters(self) -> Parameters:
        """All parameters, and those that one position uses in the blocks and the final norm."""
        total = sum(parameter.numel() for parameter in self.parameters())
        idle = sum(block.idle_parameters() for block in self._blocks())
        if isinstance(self.final_norm, ModalityNorm):
            idle += self.final_norm.gain[0].numel()
        return Parameters(total=total, active=total - idle)

    def forward_flops(self, work: Work) -> int:
        """Floating-point operations of one forward pass and the heads; see :class:`Work`."""
        flops = sum(block.flops(work) for block in self._blocks())
        if self.context_channels is None:
            flops += self.latent_embedding.flops(work.latents)
        else:
            flops += self.latent_embedding.flops(work.latents - work.context_latents)
            flops += self.context_embedding.flops(work.context_latents)
        flops += self.time_embedding.flops(work.latents)
        if self.settings.time_conditioning == "adaptive":
            flops += self.time_modulation.flops(work.latents)
        return (
            flops + self.text_head.flops(work.text_rows) + self.latent_head.flops(work.latent_rows)
        )

    def shift_balance(self, load_Q2E: Tensor, rate: float) -> None:
        """After a step: make experts that got little more likely, by the rate, in every block."""
        for mixture, load_2E in zip(self.mixtures(), load_Q2E, strict=True):
            mixture.router.shift_balance(load_2E.sum(dim=0), rate)

    def mixtures(self) -> list[MixtureOfExperts]:
        """The learned mixtures of the blocks that have one, in their order."""
        experts = (block.experts for block in self._blocks())
        return [own for own in experts if isinstance(own, MixtureOfExperts)]

    def _blocks(self) -> list[Block]:
        return cast("list[Block]", list(self.blocks))

    def _embed(self, inputs: DecoderInput) -> tuple[Tensor, Tensor]:
        """Positions [B, T, D] with the latents in their places, and flow times [L, D]."""
        dtype = self.compute_dtype
        x_BTD = F.embedding(inputs.ids_BT, self.token_embedding).to(dtype)
        time_LD = self.time_embedding(inputs.time_L, dtype)
        latent_LD = self._embed_latents(inputs, dtype)
        latent_LD = latent_LD + self.place_embedding(inputs.yx_L2, dtype)
        if self.settings.time_conditioning == "added":
            latent_LD = latent_LD + time_LD
        x_MD = x_BTD.flatten(0, 1).index_copy(0, inputs.latent_position_L, latent_LD)
        return x_MD.view_as(x_BTD), time_LD

    def _embed_latents(self, inputs: DecoderInput, dtype: torch.dtype) -> Tensor:
        """[L, D]: each latent token through the linear layer of its channels."""
        z_LC, context = inputs.z_LC.to(dtype), inputs.context
        if context is None:
            return self.latent_embedding(z_LC)
        target_GD = self.latent_embedding(z_LC.index_select(0, context.target_G))
        context_UD = self.context_embedding(context.z_UA.to(dtype))
        latent_LD = target_GD.new_zeros(len(z_LC), target_GD.shape[1])
        latent_LD = latent_LD.index_copy(0, context.target_G, target_GD)
        return latent_LD.index_copy(0, context.context_U, context_UD)

    def _share(self, inputs: DecoderInput, mask: AttentionMask, time_LD: Tensor) -> Shared:
        modality_BT = inputs.modality_BT
        sorted_once = "modality" in (self.settings.experts, self.settings.attention_weights)
        modulation = None
        if self.settings.time_conditioning == "adaptive":
            modulation_LX = self.time_modulation(F.silu(time_LD))
            empty = modulation_LX.new_zeros(modality_BT.numel(), modulation_LX.shape[1])
            modulation = empty.index_copy(0, inputs.latent_position_L, modulation_LX)
            modulation = modulation.view(*modality_BT.shape, 6, -1)
        return Shared(
            turn_BTK=self.rotary(inputs.position_BT),
            mask=mask,
            modality_BT=modality_BT,
            by_modality=Routing.by_modality(modality_BT) if sorted_once else None,
            modulation_BT6D=modulation,
            vision_BT1=(modality_BT == Modality.VISION).to(self.compute_dtype).unsqueeze(-1),
        )
