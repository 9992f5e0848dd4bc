"""Decoders of one shape that make their passes together, each over its own rows.

A pass of a small decoder costs more in calls than in numbers. Where the rows of several decoders
lie one after another, a pass over memory is one for all, and so is attention, whose windows know
nothing of models; and a decoder's weights are those of its run of rows, as an expert's are. For
float32 on a CPU.

Shape suffixes: S decoders, B rows of all of them, T positions, M sorted positions, X modalities, D
width, K head width, V vocabulary, L latent tokens of a stream, R chosen rows, C latent channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, chain
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chiasm.batch.streams import TEXT
from chiasm.model.decoder import Decoder
from chiasm.model.elementwise import apply_rotary
from chiasm.model.fused import add_experts, add_product, normed_product
from chiasm.model.inputs import DecoderInput
from chiasm.model.latents import time_features
from chiasm.model.mask import IntervalMask
from chiasm.model.windowed import attend_windowed


@dataclass(frozen=True)
class _Sorted:
    """Positions sorted by decoder and, inside each, by modality, text first; without padding."""

    order_M: Tensor
    """int64: which of the B·T positions each is."""
    lengths: list[int]
    """Of each decoder."""
    ends: list[int]
    """Where each decoder's positions of each modality end."""
    text: list[int]
    """Positions of each decoder that hold text."""
    latents: dict[str, list[int]]
    """Likewise those that hold a stream's latents, in the order of their modalities."""

    @property
    def ends_S(self) -> list[int]:
        """Where each decoder's positions end."""
        return list(accumulate(self.lengths))

    def woven(self, text: Tensor, latents: Sequence[Tensor]) -> Tensor:
        """Text of all decoders, and each stream's latents of all decoders, as they are sorted."""
        counts = (self.text, *self.latents.values())
        parts = (own.split(count) for own, count in zip((text, *latents), counts, strict=True))
        return torch.cat(list(chain.from_iterable(zip(*parts, strict=True))))


class DecoderStack:
    """S decoders, whose parameters are parts of common tensors from now on.

    They must be of equal settings, with grouped attention and without a learned mixture, and time
    that is added.
    """

    def __init__(self, decoders: Sequence[Decoder]) -> None:
        self.first = decoders[0]
        self._parameters = [dict(own.named_parameters()) for own in decoders]
        self._weights: dict[str, nn.Parameter] = {}
        for name in self._parameters[0]:
            own = [parameters[name] for parameters in self._parameters]
            self._weights[name] = nn.Parameter(torch.stack([each.detach() for each in own]))
            for each, weight in zip(own, self._weights[name].detach(), strict=True):
                each.data = weight

    def forward(
        self, inputs: DecoderInput, mask: IntervalMask, behind: Sequence[int] = ()
    ) -> tuple[Tensor, ...]:
        """Hidden vectors [M, D] of sorted positions before the final norm, and int64 [B·T], which
        of them a position has; then hidden vectors ``behind`` as many blocks as it says. Each
        decoder has as many of the B rows, one decoder after another.
        """
        own = self._sorted(inputs)
        x_MD = own.woven(*self._embed(inputs, own))
        mask = replace(mask, order_M=own.order_M)
        turn_MK = self.first.rotary(inputs.position_BT.flatten()[own.order_M])
        states = []
        for number in range(len(self.first.blocks)):
            x_MD = self._block(f"blocks.{number}.", x_MD, turn_MK, mask, own)
            states += [x_MD] if number + 1 in behind else []
        row_P = torch.zeros(inputs.ids_BT.numel(), dtype=torch.int64)
        row_P[own.order_M] = torch.arange(len(own.order_M))
        return x_MD, row_P, *states

    def text_logits(self, x_RD: Tensor, counts: Sequence[int]) -> Tensor:
        """Hidden vectors [R, D] of text, ``counts`` of each decoder → scores [R, V]."""
        return self._head("final_norm", "text_head", x_RD, counts, 0)

    def latent_output(self, stream: str, x_LD: Tensor, counts: Sequence[int]) -> Tensor:
        """Hidden vectors [L, D] of a stream's latents, ``counts`` of each decoder → [L, C]."""
        modality = self.first.shapes.modality_of(stream) - TEXT
        return self._head("final_norm", f"latent_head.{stream}", x_LD, counts, modality)

    def inner_output(self, stream: str, x_LD: Tensor, counts: Sequence[int]) -> Tensor:
        """As :meth:`latent_output`, of the heads in the middle."""
        modality = self.first.shapes.modality_of(stream) - TEXT
        layer = f"inner_head.latent_head.{stream}"
        return self._head("inner_head.norm", layer, x_LD, counts, modality)

    def hand_over(self) -> None:
        """Let the decoders' parameters have their parts of the gradients of all passes since."""
        for name, weight in self._weights.items():
            if weight.grad is not None:
                for parameters, grad in zip(self._parameters, weight.grad, strict=True):
                    parameters[name].grad = grad
            weight.grad = None

    def _sorted(self, inputs: DecoderInput) -> _Sorted:
        number, streams = len(self._parameters), self.first.shapes
        of_each = inputs.ids_BT.numel() // number
        text = (inputs.modality_BT.flatten() == TEXT).nonzero()[:, 0]
        names = sorted(inputs.latents, key=streams.modality_of)
        latents = [inputs.latents[name].position_L for name in names]
        counts_S = [
            torch.bincount(position // of_each, minlength=number).tolist()
            for position in (text, *latents)
        ]
        of_stream = dict(zip(names, counts_S[1:], strict=True))
        in_runs = [counts_S[0]]
        for modality in range(TEXT + 1, TEXT + len(streams.modalities)):
            own = [of_stream[name] for name in names if streams.modality_of(name) == modality]
            in_runs.append([sum(each) for each in zip(*own, strict=True)] or [0] * number)
        lengths = [sum(own) for own in zip(*in_runs, strict=True)]
        ends = list(accumulate(chain.from_iterable(zip(*in_runs, strict=True))))
        unordered = _Sorted(text, lengths, ends, counts_S[0], of_stream)
        return replace(unordered, order_M=unordered.woven(text, latents))

    def _embed(self, inputs: DecoderInput, own: _Sorted) -> tuple[Tensor, list[Tensor]]:
        """Text of all decoders, [·, D], and of each stream their latents, [L, D]."""
        text = (inputs.modality_BT.flatten() == TEXT).nonzero()[:, 0]
        token = inputs.ids_BT.flatten()[text]
        latents = []
        for name, counts in own.latents.items():
            read = inputs.latents[name]
            hidden = self._linear("time_embedding.hidden", time_features(read.time_L), counts)
            x_LD = self._linear("time_embedding.out", F.silu(hidden), counts)
            x_LD = x_LD + self._linear(f"latent_embedding.{name}", read.z_LC, counts)
            embedding = self.first.place_embedding[name]
            if embedding.learned:
                for axis, place_L in zip(embedding.axes, read.place_LA.unbind(-1), strict=True):
                    x_LD = x_LD + self._rows(f"place_embedding.{name}.{axis}", place_L, counts)
            else:
                gain_L = _spread(self._weights[f"place_embedding.{name}.gain"], counts)
                x_LD = torch.addcmul(x_LD, embedding.waves(read.place_LA), gain_L.unsqueeze(1))
            latents.append(x_LD)
        return self._rows("token_embedding", token, own.text), latents

    def _block(
        self, name: str, x_MD: Tensor, turn_MK: Tensor, mask: IntervalMask, own: _Sorted
    ) -> Tensor:
        names = ("attention_norm.gain", "attention.qkv.weight", "attention.out.weight")
        gain, qkv, out, ends = self._in_runs(own, *(name + part for part in names))
        heads_MX = normed_product(x_MD, gain, qkv, ends)
        y_MX = self._attend(name, heads_MX, turn_MK, mask, own)
        x_MD = add_product(x_MD, y_MX, out, ends)
        names = ("experts_norm.gain", "experts.gate_up", "experts.down")
        return add_experts(x_MD, *self._in_runs(own, *(name + part for part in names)))

    def _attend(
        self, name: str, heads_MX: Tensor, turn_MK: Tensor, mask: IntervalMask, own: _Sorted
    ) -> Tensor:
        settings = self.first.settings
        H, G = settings.query_heads, settings.key_value_heads
        heads_MAK = heads_MX.unflatten(-1, (H + 2 * G, settings.K))
        gain_MX = None
        if settings.qk_norm:
            gain_MX = _spread(self._weights[f"{name}attention.qk_gain"], own.lengths)
        if rows := mask.head_rows(heads_MAK.unsqueeze(0), H):
            gain_XM = None if gain_MX is None else gain_MX.T
            return attend_windowed(heads_MAK, gain_XM, turn_MK, rows)
        one_X = None if gain_MX is None else torch.ones(H + G)
        heads_1MAK = apply_rotary(heads_MAK.unsqueeze(0), one_X, turn_MK.unsqueeze(0), H + G)
        if gain_MX is not None:
            gain_MA = F.pad(gain_MX, (0, G), value=1.0)
            heads_1MAK = heads_1MAK * gain_MA.unsqueeze(-1)
        q_1MHK, k_1MGK, v_1MGK = heads_1MAK.split((H, G, G), dim=2)
        return mask.attend(q_1MHK, k_1MGK, v_1MGK).flatten(2)[0]

    def _in_runs(self, own: _Sorted, gain: str, *matrices: str) -> tuple[Any, ...]:
        """A gain and matrices [E, …] of the same runs of rows, and where these end: the runs are
        those of the decoders, unless one of the weights differs between modalities."""
        found = [self._weights[gain].flatten(0, -2)]
        found += [self._weights[name].flatten(0, -3) for name in matrices]
        number = max(map(len, found))
        found = [
            each if len(each) == number else each.repeat_interleave(number // len(each), 0)
            for each in found
        ]
        return *found, own.ends if number == len(own.ends) else own.ends_S

    def _head(
        self, norm: str, layer: str, x_RD: Tensor, counts: Sequence[int], modality: int
    ) -> Tensor:
        gain = self._weights[f"{norm}.gain"]
        gain_SD = gain if gain.ndim == 2 else gain[:, modality]
        return normed_product(
            x_RD, gain_SD, self._weights[f"{layer}.weight"], list(accumulate(counts))
        )

    def _linear(self, layer: str, x_LC: Tensor, counts: Sequence[int]) -> Tensor:
        weight = self._weights[f"{layer}.weight"]
        parts = zip(x_LC.split(list(counts)), weight.unbind(), strict=True)
        return torch.cat([F.linear(rows, own) for rows, own in parts])

    def _rows(self, table: str, number_R: Tensor, counts: Sequence[int]) -> Tensor:
        """The rows of a table of each decoder, by number."""
        weight = self._weights[table]
        begin_S = torch.arange(len(counts)) * weight.shape[1]
        number_R = number_R + begin_S.repeat_interleave(torch.tensor(counts))
        return F.embedding(number_R, weight.flatten(0, 1))


def _spread(values: Tensor, counts: Sequence[int]) -> Tensor:
    """[S, …] → [R, …]: each decoder's for all of its rows."""
    parts = zip(values.unbind(), counts, strict=True)
    return torch.cat([own.expand(count, *own.shape) for own, count in parts])
