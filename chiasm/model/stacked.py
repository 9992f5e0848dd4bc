"""Decoders of one shape that go through their blocks together, each with its own rows and weights.

Small products and passes cost more to call than to compute: where the rows of several models lie
one after another, a pass over memory is one for all of them, and so is attention, whose windows
know nothing of models. A weight of each model is one of a run of rows, as an expert's is.

Shape suffixes: S models, M sorted positions of all models, D width; R = S·X runs of one model and
modality.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn

from chiasm.model.decoder import Decoder
from chiasm.model.fused import add_experts, add_product, normed_product
from chiasm.model.inputs import DecoderInput
from chiasm.model.mask import IntervalMask
from chiasm.model.windowed import attend_windowed

ALIGNED = 16
"""Numbers; each weight begins at a multiple of it."""


class DecoderStack:
    """S decoders whose weights and gradients are views of common tensors from now on."""

    def __init__(self, decoders: Sequence[Decoder]) -> None:
        self.decoders = decoders
        first = decoders[0]
        named = dict(first.named_parameters())
        sizes = [-(-own.numel() // ALIGNED) * ALIGNED for own in named.values()]
        self.weights_SP = torch.zeros(len(decoders), sum(sizes))
        self.gradients_SP = torch.zeros_like(self.weights_SP)
        self._of: dict[str, nn.Parameter] = {}
        parameters = [dict(own.named_parameters()) for own in decoders]
        for end, size, (name, like) in zip(accumulate(sizes), sizes, named.items(), strict=True):
            here = slice(end - size, end - size + like.numel())
            weight, grad = (
                each[:, here].view(-1, *like.shape) for each in (self.weights_SP, self.gradients_SP)
            )
            for own, data, gradient in zip(parameters, weight, grad, strict=True):
                data.copy_(own[name].detach())
                own[name].data, own[name].grad = data, gradient
            self._of[name] = nn.Parameter(weight)
            self._of[name].grad = grad

    def forward(
        self, inputs: Sequence[DecoderInput], masks: Sequence[IntervalMask]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Hidden vectors [M_s, D] of each model, and the order of its positions."""
        first = self.decoders[0]
        rows, orders = zip(
            *(each.by_modality(own.shapes) for each, own in zip(inputs, self.decoders)),
            strict=True,
        )
        lengths = [len(order) for order in orders]
        starts = [0, *accumulate(lengths)]
        ends = [s + e for s, own in zip(starts, rows) for e in own.ends]
        ends_S = starts[1:]
        x_MD = torch.cat(
            [own._embed(each)[0][0] for own, each in zip(self.decoders, rows, strict=True)]
        )
        T = masks[0].first_BT.numel()
        mask = IntervalMask(
            torch.cat([m.first_BT for m in masks]),
            torch.cat([m.last_BT for m in masks]),
            masks[0].num_keys,
            order_M=torch.cat([o + k * T for k, o in enumerate(orders)]),
        )
        turn_MK = first.rotary(torch.cat([r.position_BT[0] for r in rows]))
        modalities = len(ends) // len(rows)
        for number, block in enumerate(first.blocks):
            x_MD = self._block(f"blocks.{number}.", block, x_MD, turn_MK, mask, ends, ends_S, lengths, modalities)
        return list(x_MD.split(lengths)), list(orders)

    def _block(self, prefix, block, x_MD, turn_MK, mask, ends, ends_S, lengths, modalities):
        def of(name):
            return self._of[prefix + name]

        def own_runs(weight, single):
            return (weight, ends_S) if weight.ndim == single else (weight.flatten(0, 1), ends)

        attention = block.attention
        H, G, K = attention.query_heads, attention.key_value_heads, attention.head_width
        gain, _ = own_runs(of("attention_norm.gain"), 2)
        qkv, own_ends = own_runs(of("attention.qkv.weight"), 3)
        heads = normed_product(x_MD, gain, qkv, own_ends).unflatten(-1, (H + 2 * G, K))
        gain_XM = None
        if attention.qk_gain is not None:
            parts = [g.unsqueeze(1).expand(-1, n) for g, n in zip(of("attention.qk_gain").unbind(), lengths)]
            gain_XM = torch.cat(parts, 1)
        rows = mask.head_rows(heads.unsqueeze(0), H)
        y = attend_windowed(heads, gain_XM, turn_MK, rows)
        out, own_ends = own_runs(of("attention.out.weight"), 3)
        x_MD = add_product(x_MD, y, out, own_ends)
        gain, gain_ends = own_runs(of("experts_norm.gain"), 2)
        gate_up, down = of("experts.gate_up"), of("experts.down")
        if gate_up.shape[1] == 1 and gain_ends is ends_S:
            run_ends = ends_S
        else:
            run_ends = ends
            if gain_ends is ends_S:
                gain = gain.repeat_interleave(modalities, 0)
            if gate_up.shape[1] == 1:
                gate_up, down = (w.expand(-1, modalities, -1, -1) for w in (gate_up, down))
        return add_experts(x_MD, gain, gate_up.flatten(0, 1), down.flatten(0, 1), run_ends)
