"""The whole model: a Llama-shaped decoder over tokens and latents.

Choices: RMSNorm before each part; rotary positions counted inside the document; grouped-query
attention, queries and keys normalized; SwiGLU experts chosen by a rule; untied text embedding and
head; the latents of a stream enter and leave through one linear layer each; no biases.

Shape suffixes: B rows, T positions, M = B·T, D width, K head width, V vocabulary, N items of a
stream, L their latent tokens, C latent channels, A axes, R chosen rows, Q blocks with a router, X
modalities, E experts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chiasm.batch.streams import PADDING, Streams
from chiasm.device import kind_of, return_freed_memory
from chiasm.errors import settings_of
from chiasm.model.block import Block, Shared
from chiasm.model.cache import KeyValueCache
from chiasm.model.checkpointing import automatic, calling
from chiasm.model.elementwise import by_hand, put_rows
from chiasm.model.experts import Experts, MixtureOfExperts
from chiasm.model.initialize import initialize
from chiasm.model.inner import InnerHead
from chiasm.model.inputs import DecoderInput
from chiasm.model.latents import PlaceEmbedding, StepEmbedding, TimeEmbedding
from chiasm.model.layers import Linear, RMSNorm, RotaryTable
from chiasm.model.mask import IntervalMask
from chiasm.model.passes import Fixed, Hidden
from chiasm.model.router import RouterOutput
from chiasm.model.routing import Routing
from chiasm.model.settings import ActivationCheckpointing, ModelSettings
from chiasm.model.work import FORWARD_AND_BACKWARD, SHORTCUT_ROWS, Parameters, Work
from chiasm.roles import Role

_Module = TypeVar("_Module", bound=nn.Module)


class Decoder(nn.Module):
    """Tokens, latents and a mask in, hidden vectors out; heads on rows that the caller picks.

    Each stream has layers of its own to enter and to leave by. ``vocabulary``: V, token numbers
    including the special ones; ``seed``: of the first weights; ``compute_dtype``: of activations
    and matrix products, whatever type the weights have.
    """

    roles: ClassVar = {"token_embedding": Role.TABLE}

    def __init__(
        self,
        settings: ModelSettings,
        *,
        vocabulary: int,
        streams: Streams,
        seed: int = 0,
        compute_dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        width, modalities = settings.width, len(streams.modalities)
        if settings.experts == "moe":
            with settings_of("model.moe"):
                settings.moe.refuse_choices(modalities)
        self.settings, self.compute_dtype = settings, compute_dtype
        self.activation_checkpointing: ActivationCheckpointing = "auto"
        self.vocabulary, self.shapes = vocabulary, streams
        self.token_embedding = nn.Parameter(torch.empty(vocabulary, width))
        self.latent_embedding = _named(
            {each.name: Linear(each.channels, width) for each in streams}
        )
        self.time_embedding = TimeEmbedding(width)
        if settings.shortcut_steps is not None:
            self.step_embedding = StepEmbedding(width, settings.shortcut_steps)
        self.place_embedding = _named(
            {each.name: PlaceEmbedding(settings, each.reach) for each in streams}
        )
        self.rotary = RotaryTable(settings.K, settings.rope_theta)
        blocks = [Block(settings, number, modalities) for number in range(settings.depth)]
        self.blocks = cast("list[Block]", nn.ModuleList(blocks))
        separate = modalities if settings.attention_weights == "modality" else None
        self.final_norm = RMSNorm(width, separate)
        self.text_head = Linear(width, vocabulary)
        self.latent_head = _named(
            {name: Linear(width, streams[name].channels) for name in streams.generated}
        )
        if settings.time_conditioning == "adaptive":
            self.time_modulation = Linear(width, 6 * width)
        self.inner_head = None if settings.inner is None else InnerHead(settings, streams)
        initialize(self, settings, seed)

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.token_embedding.device

    def forward(
        self,
        inputs: DecoderInput,
        mask: IntervalMask,
        cache: KeyValueCache | None = None,
        fixed: Fixed | None = None,
    ) -> Tensor:
        """Hidden vectors [B, T, D] of :meth:`forward_with_routing`."""
        return self._hidden(inputs, mask, cache, fixed).x_BTD

    def forward_with_routing(
        self,
        inputs: DecoderInput,
        mask: IntervalMask,
        cache: KeyValueCache | None = None,
        fixed: Fixed | None = None,
        behind: Sequence[int] = (),
    ) -> Hidden:
        """Hidden vectors [B, T, D] after the final norm and ``behind`` as many blocks as it says,
        rising numbers from 1 on, and what each block's router chose.

        With a cache, the T positions continue what its rows hold, ``mask`` counts keys in the
        cache's slots and has its lengths, and what is new is written but not yet held (see
        :mod:`chiasm.model.cache`). ``fixed``: from :meth:`fix`, where a pass is repeated.
        """
        return self._hidden(inputs, mask, cache, fixed, behind)

    def _hidden(
        self,
        inputs: DecoderInput,
        mask: IntervalMask,
        cache: KeyValueCache | None,
        fixed: Fixed | None,
        behind: Sequence[int] = (),
    ) -> Hidden:
        """Positions as they lie, or sorted by modality once for all blocks."""
        assert (cache is None) == (mask.held_B is None)
        if cache is not None or not self._sorts(inputs):
            return self._pass(inputs, mask, cache, fixed or self.fix(inputs), behind)
        rows, order_M = inputs.by_modality(self.shapes)
        mask = replace(mask, order_M=order_M)
        x_1MD, choices, states = self._pass(rows, mask, None, self.fix(rows), behind)
        shape, number = inputs.ids_BT.shape, inputs.ids_BT.numel()
        x_BTD, *states = (
            put_rows(each[0], order_M, number).unflatten(0, shape) for each in (x_1MD, *states)
        )
        choices = [RouterOutput(*(put_rows(x, order_M, number) for x in own)) for own in choices]
        return Hidden(x_BTD, choices, states)

    def _pass(
        self,
        inputs: DecoderInput,
        mask: IntervalMask,
        cache: KeyValueCache | None,
        fixed: Fixed,
        behind: Sequence[int],
    ) -> Hidden:
        x_BTD, time_LD = self._embed(inputs, fixed)
        _ = mask.attend  # chosen here: compiled blocks would trace the choice anew at every step
        shared = self._share(inputs, mask, fixed, time_LD)
        past = cache.layers(inputs.ids_BT.shape[1]) if cache else [None] * len(self.blocks)
        mode = self._checkpointing(inputs)
        if mode != "none":  # the embedding's gradient comes last, and may be the largest
            x_BTD.register_hook(lambda grad: return_freed_memory(grad.device))
        choices, states, call = [], [], calling(mode)
        for number, (block, layer) in enumerate(zip(self.blocks, past, strict=True), start=1):
            x_BTD, choice = call(block, x_BTD, shared, layer)
            choices += [choice] if choice is not None else []
            states += [x_BTD] if number in behind else []
        return Hidden(self.final_norm(x_BTD, inputs.modality_BT), choices, states)

    def new_cache(self, rows: int, capacity: int) -> KeyValueCache:
        """Returns an empty cache of ``capacity`` slots for each of ``rows`` rows."""
        like = self.token_embedding.new_empty(0, dtype=self.compute_dtype)
        layers = [block.attention.new_cache(rows, capacity, like) for block in self.blocks]
        lengths_B = torch.zeros(rows, dtype=torch.int64, device=self.device)
        return KeyValueCache(layers, capacity, lengths_B)

    def text_logits(self, x_RD: Tensor) -> Tensor:
        """Hidden vectors [R, D] → scores of the next token [R, V]."""
        return self.text_head(x_RD)

    def latent_output(self, stream: str, x_LD: Tensor) -> Tensor:
        """Hidden vectors [L, D] → the flow's prediction [L, C]; the objective says of what."""
        return self.latent_head[stream](x_LD)

    def count_parameters(self) -> Parameters:
        """All parameters, and those that one position uses in the blocks and the final norm."""
        total = sum(parameter.numel() for parameter in self.parameters())
        parts = (own for own in self.modules() if isinstance(own, Linear | RMSNorm | Experts))
        idle = sum(own.inactive_parameters() for own in parts)
        return Parameters(total=total, active=total - idle)

    def forward_flops(self, work: Work) -> int:
        """Floating-point operations of one forward pass and the heads; see :class:`Work`."""
        flops = sum(block.flops(work) for block in self.blocks)
        flops += sum(self.latent_embedding[name].flops(own) for name, own in work.latents.items())
        flops += sum(self.latent_head[name].flops(own) for name, own in work.latent_rows.items())
        latents = sum(work.latents.values())
        flops += self.time_embedding.flops(latents)
        if self.settings.shortcut_steps is not None:
            flops += self.step_embedding.flops(latents)
        if self.settings.time_conditioning == "adaptive":
            flops += self.time_modulation.flops(latents)
        if self.inner_head is not None:
            flops += self.inner_head.flops(work)
        return flops + self.text_head.flops(work.text_rows)

    def training_flops(self, work: Work) -> int:
        """Of the forward and the backward pass of training, and of passes without gradients: one
        without heads where the head in the middle has states for its target, and a share of two
        without text that say where shortcuts lead."""
        flops = FORWARD_AND_BACKWARD * self.forward_flops(work)
        if self.inner_head is not None and not self.inner_head.guides:
            flops += self.forward_flops(replace(work, text_rows=0, latent_rows={}))
        if self.settings.shortcut_steps is not None:
            flops += 2 * self.forward_flops(replace(work, text_rows=0)) // SHORTCUT_ROWS
        return flops

    def update_expert_bias(self, load_QXE: Tensor, rate: float) -> None:
        """After a step: make experts that got little more likely, by the rate, in every block."""
        for mixture, load_XE in zip(self.mixtures(), load_QXE, strict=True):
            mixture.router.update_expert_bias(load_XE.sum(dim=0), rate)

    def mixtures(self) -> list[MixtureOfExperts]:
        """The learned mixtures of the blocks that have one, in their order."""
        experts = (block.experts for block in self.blocks)
        return [own for own in experts if isinstance(own, MixtureOfExperts)]

    def _checkpointing(self, inputs: DecoderInput) -> ActivationCheckpointing:
        """What holds for these inputs."""
        if not (torch.is_grad_enabled() and self.training):
            return "none"
        if self.activation_checkpointing != "auto":
            return self.activation_checkpointing
        head = self.text_head.weight.numel()
        blocks = self.count_parameters().active - head - self.token_embedding.numel()
        logits = inputs.ids_BT.numel() * self.vocabulary
        return automatic(kind_of(self.token_embedding), logits, head, blocks)

    def _sorts(self, inputs: DecoderInput) -> bool:
        """Whether positions are to be sorted by modality for all blocks."""
        own = self._has_runs and inputs.ends is None and by_hand(self.token_embedding)
        float32 = self.compute_dtype == torch.float32
        return own and float32 and bool((inputs.modality_BT != PADDING).any())

    @property
    def _has_runs(self) -> bool:
        """Whether something has weights of each modality."""
        settings = self.settings
        return "modality" in (
            settings.experts,
            settings.attention_weights,
            settings.moe.shared_experts,
        )

    def fix(self, inputs: DecoderInput) -> Fixed:
        """What a pass over inputs with other latents and times would compute once more."""
        by_modality = None
        if inputs.ends is not None:
            by_modality = Routing.of_runs(inputs.ends, self.device)
        elif self._has_runs:
            by_modality = Routing.by_modality(inputs.modality_BT, len(self.shapes.modalities))
        place_LD = {
            name: self.place_embedding[name](each.place_LA, self.compute_dtype)
            for name, each in inputs.latents.items()
        }
        return Fixed(self.rotary(inputs.position_BT), by_modality, place_LD)

    def _embed(self, inputs: DecoderInput, fixed: Fixed) -> tuple[Tensor, Tensor | None]:
        """Positions [B, T, D] with the latents in their places, and the times [L, D] of these."""
        dtype, shape = self.compute_dtype, inputs.ids_BT.shape
        token_M = inputs.ids_BT.flatten()[: None if inputs.ends is None else inputs.ends[0]]
        x_MD = F.embedding(token_M, self.token_embedding).to(dtype)
        if not inputs.latents:
            return x_MD.unflatten(0, shape), None
        time_LD = self._embed_times(inputs)
        latent_LD = torch.cat(
            [
                self.latent_embedding[name](each.z_LC.to(dtype)) + fixed.place_LD[name]
                for name, each in inputs.latents.items()
            ]
        )
        if self.settings.time_conditioning == "added":
            latent_LD = latent_LD + time_LD
        if inputs.ends is not None:
            x_MD = torch.cat((x_MD, latent_LD))
        else:
            x_MD = x_MD.index_copy(0, inputs.latent_position_L, latent_LD)
        return x_MD.unflatten(0, shape), time_LD

    def _embed_times(self, inputs: DecoderInput) -> Tensor:
        """Flow times of the latents, and steps from there where they are told: [L, D]."""
        read = inputs.latents.values()
        time_LD = self.time_embedding(torch.cat([each.time_L for each in read]), self.compute_dtype)
        told = [each.step_L for each in read if each.step_L is not None]
        if self.settings.shortcut_steps is None or not told:
            return time_LD
        return time_LD + self.step_embedding(torch.cat(told), self.compute_dtype)

    def _share(
        self, inputs: DecoderInput, mask: IntervalMask, fixed: Fixed, time_LD: Tensor | None
    ) -> Shared:
        modality_BT, settings = inputs.modality_BT, self.settings
        modulation = None
        if settings.time_conditioning == "adaptive":
            size = (modality_BT.numel(), 6 * settings.width)
            modulation = torch.zeros(size, dtype=self.compute_dtype, device=self.device)
            if time_LD is not None:
                position_L = inputs.latent_position_L
                modulation_LF = self.time_modulation(F.silu(time_LD)).expand(len(position_L), -1)
                modulation = modulation.index_copy(0, position_L, modulation_LF)
            modulation = modulation.view(*modality_BT.shape, 6, -1)
        rotary_BTK, by_modality, _ = fixed
        return Shared(rotary_BTK, mask, modality_BT, by_modality, inputs.ends, modulation)


def _named(layers: dict[str, _Module]) -> dict[str, _Module]:
    return cast("dict[str, _Module]", nn.ModuleDict(layers))
