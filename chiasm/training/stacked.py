"""Losses of several models on a batch of each, from one forward pass.

Shape suffixes: S models, B rows of all their batches, L latent tokens of a stream's targets, R
positions that predict a token, M positions, C latent channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from chiasm.batch.packed import PackedBatch
from chiasm.flow import mix
from chiasm.model.elementwise import take_rows
from chiasm.model.inputs import DecoderInput
from chiasm.model.mask import IntervalMask
from chiasm.model.stacked import DecoderStack
from chiasm.tokenizers.streams import StreamTokenizers
from chiasm.training.losses import Losses, Sums
from chiasm.training.noise import draw_noise
from chiasm.training.objective import Objective, flow_loss


def losses_together(
    stack: DecoderStack,
    objective: Objective,
    tokenizers: StreamTokenizers,
    batches: Sequence[PackedBatch],
    seeds: Sequence[int],
) -> Losses:
    """As :meth:`Objective.losses` of each model on its batch with its seed; each tensor has a
    first dimension S."""
    joined = PackedBatch.joined(batches)
    pairs = list(zip(batches, seeds, strict=True))
    latents = tokenizers.encode(joined.slots)
    times_S = [objective.flow_times(batch, seed) for batch, seed in pairs]
    times, noise, z_t = {}, {}, {}
    for name, slots in joined.slots.items():
        times[name] = torch.cat([own[name] for own in times_S])
        noise[name] = torch.cat([draw_noise(batch, name, seed) for batch, seed in pairs])
        z_t[name] = mix(latents[name], noise[name], times[name][slots.item_L])
    inputs = DecoderInput.from_batch(joined, z_t, times)
    x_MD, row_P = stack.forward(inputs, IntervalMask.from_batch(joined))
    flow = {}
    for name in joined.streams.generated:
        slots = joined.slots[name]
        counts = [batch.slots[name].num_targets for batch in batches]
        output_LC = stack.latent_output(name, take_rows(x_MD, row_P[slots.position_G]), counts)
        z_LC, noise_LC, item_L = (
            each.index_select(0, slots.target_G)
            for each in (latents[name], noise[name], slots.item_L)
        )
        time_L = times[name][item_L]
        loss_L = flow_loss(output_LC, z_LC, noise_LC, time_L, objective.settings.of(name))
        source_L = slots.source_N[item_L]
        flow[name] = Sums.of_models(loss_L, counts, source_L, len(joined.source_names), time_L)
    text = _text_sums(stack, joined, x_MD, row_P, [batch.num_text_targets for batch in batches])
    zero_S = torch.zeros(len(batches))
    filled_S = torch.tensor([batch.num_filled for batch in batches])
    no_load = torch.zeros(len(batches), 0, len(joined.streams.modalities), 0, dtype=torch.int64)
    return Losses(text, flow, zero_S, zero_S, filled_S, no_load)


def _text_sums(
    stack: DecoderStack, joined: PackedBatch, x_MD: Tensor, row_P: Tensor, counts: Sequence[int]
) -> Sums:
    """Cross-entropy of each predicted token."""
    position_R = joined.text_position_R
    logits_RV = stack.text_logits(take_rows(x_MD, row_P[position_R]), counts)
    label_R = joined.label_BT.flatten()[position_R]
    loss_R = F.cross_entropy(logits_RV, label_R, reduction="none")
    source_R = joined.source_BT.flatten()[position_R]
    return Sums.of_models(loss_R, counts, source_R, len(joined.source_names))
