"""The objective: L = λ_text · cross-entropy + Σ λ_stream · flow loss, what the head in the middle
misses, and the price of uneven routing.

Each loss is a sum over the batch's targets and a count of them; only :meth:`Objective.total`
divides, by counts that the caller takes over all ranks and accumulation steps, so that the
average is never an average of averages.

Shape suffixes: N items of a stream, L their latent tokens (of targets only, where it says so), C
latent channels, R positions that predict a token, D width, M positions; Q blocks with a router, X
modalities, E routed experts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from chiasm.batch.packed import PackedBatch
from chiasm.batch.streams import PADDING
from chiasm.flow import (
    LossSpace,
    convert,
    default_shift,
    mix,
    shift_time,
)
from chiasm.model.cross_entropy import linear_cross_entropy
from chiasm.model.decoder import Decoder
from chiasm.model.elementwise import take_rows
from chiasm.model.router import RouterOutput
from chiasm.ranks import ALONE, Ranks
from chiasm.training.average import Average
from chiasm.training.losses import Counts, Losses, Sums
from chiasm.training.noise import draw_noise, draw_steps, draw_times, has_shortcuts
from chiasm.training.settings import ObjectiveSettings
from chiasm.training.shortcuts import Line, inputs_on, with_shortcuts

AVERAGE_NOISE = 0.5
"""Noise with which a moving average reads what the model is to tell its states of, as a share of
the noise that the model sees."""


class Objective:
    """Computes :class:`Losses` of a decoder on packed batches, each rank on its own rows."""

    def __init__(self, settings: ObjectiveSettings, ranks: Ranks = ALONE) -> None:
        self.settings, self.ranks = settings, ranks

    def flow_times(self, batch: PackedBatch, seed: int) -> dict[str, Tensor]:
        """One flow time per item of each stream, float32 [N]: drawn, shifted; of context 1, or not
        far below where it has noise.
        """
        times = {}
        for name, slots in batch.slots.items():
            base_N = draw_times(batch, name, seed, self.settings.of(name).time_distribution)
            time_N = shift_time(base_N, self._alphas(batch, name))
            context_N = 1.0 - self.settings.context_noise * base_N
            times[name] = torch.where(slots.target_N, time_N, context_N)
        return times

    def _alphas(self, batch: PackedBatch, stream: str) -> Tensor:
        """α of the shift of each item's flow times, float32 [N]."""
        own, channels = self.settings.of(stream), batch.streams[stream].channels
        tokens = batch.slots[stream].tokens_N.tolist()
        alphas = [own.shift or default_shift(number, channels) for number in tokens]
        return torch.tensor(alphas, device=batch.ids_BT.device)

    def losses(
        self,
        decoder: Decoder,
        batch: PackedBatch,
        latents: Mapping[str, Tensor],
        seed: int,
        times: Mapping[str, Tensor] | None = None,
        noise: Mapping[str, Tensor] | None = None,
        *,
        step: int = 0,
        average: Average | None = None,
    ) -> Losses:
        """Noise the targets with draws keyed by ``seed``, and sum the losses; one forward pass with
        gradients.

        ``latents`` are clean, [L, C] of all items of each stream. ``times``, float [N], and
        ``noise``, [L, C], are given where they are not to be drawn; with given times context is
        clean, and nothing is a shortcut. ``step``: those done, which decide how much of the inner
        loss reaches the blocks. The ``average`` of the weights, where it is kept, says where
        shortcuts lead and what states the head in the middle is to tell; without it the weights
        say where, and such a head has no loss.
        """
        streams = batch.slots.items()
        noise = noise or {name: draw_noise(batch, name, seed) for name, _ in streams}
        if times is None:
            drawn = self.flow_times(batch, seed)
        else:
            drawn = {name: torch.where(own.target_N, times[name], 1.0) for name, own in streams}
        lines = {name: Line(noise[name], latents[name], drawn[name]) for name, _ in streams}
        if times is None and decoder.settings.shortcut_steps is not None:
            lines = self._shortcuts(decoder, batch, lines, seed, average)
        head, states = decoder.inner_head, {}
        if head is not None and not head.guides:
            if average is None:
                head = None
            else:
                states = _states(average, decoder, batch, lines)
        behind = () if head is None else (head.block,)
        passed = decoder.forward_with_routing(*inputs_on(lines, batch), behind=behind)
        x_MD, *inner_MD = (each.flatten(0, 1) for each in (passed.x_BTD, *passed.behind))
        text = _text_sums(decoder, batch, x_MD)
        flow, inner, share = {}, {}, self.settings.inner.share(step)
        for name in batch.streams.generated:
            slots, own, line = batch.slots[name], self.settings.of(name), lines[name]
            output_LC = decoder.latent_output(name, take_rows(x_MD, slots.position_G)).float()
            z_LC, noise_LC, item_L = (
                each.index_select(0, slots.target_G)
                for each in (line.z_LC, line.noise_LC, slots.item_L)
            )
            time_L = line.time_N[item_L]
            summed = partial(
                Sums.of,
                source=slots.source_N[item_L],
                num_sources=len(batch.source_names),
                time=time_L,
                step=None if line.step_N is None else line.step_N[item_L],
            )
            flow[name] = summed(flow_loss(output_LC, z_LC, noise_LC, time_L, own))
            if head is None:
                continue
            x_LD = reaching(take_rows(inner_MD[0], slots.position_G), share)
            output_LX = head(name, x_LD).float()
            if head.guides:
                inner[name] = summed(flow_loss(output_LX, z_LC, noise_LC, time_L, own))
            else:
                inner[name] = summed(1 - F.cosine_similarity(output_LX, states[name], dim=-1))
        return Losses(text, flow, *_routing_sums(batch, passed.choices, self.ranks), inner)

    def _shortcuts(
        self,
        decoder: Decoder,
        batch: PackedBatch,
        lines: Mapping[str, Line],
        seed: int,
        average: Average | None,
    ) -> dict[str, Line]:
        """Lines on which some items take long steps, and all are told how long theirs is."""
        assert decoder.settings.shortcut_steps is not None
        steps = draw_steps(batch, seed, decoder.settings.shortcut_steps)
        if not has_shortcuts(batch):
            return {name: line._replace(step_N=steps[name].size_N) for name, line in lines.items()}
        alphas = {name: self._alphas(batch, name) for name in lines}
        with nullcontext() if average is None else average.in_use():
            return with_shortcuts(decoder, batch, lines, steps, alphas, self.settings)

    def total(self, losses: Losses, counts: Counts) -> Tensor:
        """The loss to differentiate; counts are global, over all ranks and accumulation steps.

        The balance loss is of each batch by itself, on all ranks together; batches are averaged by
        positions.
        """
        settings = self.settings
        total = settings.text_weight * (losses.text.sum / _at_least_one(counts.text))
        for name, own in losses.flow.items():
            mean = own.sum / _at_least_one(counts.flow[name])
            total = total + settings.of(name).flow_weight * mean
        for name, own in losses.inner.items():
            mean = own.sum / _at_least_one(counts.flow[name])
            total = total + settings.inner.weight * mean
        if not losses.load_QXE.numel():
            return total
        balance = losses.balance_sum / _at_least_one(counts.positions)
        router_z = losses.router_z_sum / _at_least_one(counts.positions)
        return total + settings.load_balance_weight * balance + settings.router_z_weight * router_z


def flow_loss(
    output_LC: Tensor, z_LC: Tensor, noise_LC: Tensor, time_L: Tensor, settings: ObjectiveSettings
) -> Tensor:
    """Squared error of each latent token, mean over channels: float32 [L]."""
    given, wanted = settings.prediction, settings.loss_space
    z_t_LC = mix(z_LC, noise_LC, time_L)
    predicted_LC = convert(output_LC, z_t_LC, time_L, given=given, wanted=wanted)
    # Truth and prediction take the same road into the loss space, so a perfect prediction costs
    # nothing even where the denominator is clamped.
    known: LossSpace = "v" if given == "preconditioned" else given
    truth_LC = {"x": z_LC, "v": z_LC - noise_LC, "epsilon": noise_LC}[known]
    wanted_LC = convert(truth_LC, z_t_LC, time_L, given=known, wanted=wanted)
    return (predicted_LC - wanted_LC).square().mean(dim=-1)


def reaching(x_MD: Tensor, share: float) -> Tensor:
    """The same numbers, of whose gradient a share goes on to where they come from."""
    return x_MD if share == 1 else x_MD.detach().lerp(x_MD, share)


def _states(
    average: Average,
    decoder: Decoder,
    batch: PackedBatch,
    lines: Mapping[str, Line],
) -> dict[str, Tensor]:
    """States [L, D] of the average at the targets, which it reads with less of the same noise."""
    assert decoder.inner_head is not None
    behind = (decoder.inner_head.target_block,)
    lines = {
        name: line._replace(time_N=1 - AVERAGE_NOISE * (1 - line.time_N))
        for name, line in lines.items()
    }
    with torch.no_grad(), average.in_use():
        passed = decoder.forward_with_routing(*inputs_on(lines, batch), behind=behind)
    x_MD = passed.behind[0].flatten(0, 1)
    return {
        name: take_rows(x_MD, batch.slots[name].position_G).float()
        for name in batch.streams.generated
    }


def _text_sums(decoder: Decoder, batch: PackedBatch, x_MD: Tensor) -> Sums:
    """Cross-entropy of each predicted token."""
    x_RD = take_rows(x_MD, batch.text_position_R)
    label_R = batch.label_BT.flatten()[batch.text_position_R]
    total, loss_R = linear_cross_entropy(x_RD, decoder.text_head.weight, label_R)
    source_R = batch.source_BT.flatten()[batch.text_position_R]
    return replace(Sums.of(loss_R, source_R, len(batch.source_names)), sum=total)


def _at_least_one(count: Tensor | int) -> Tensor | int:
    """A batch without targets has a sum of 0, whatever it is divided by."""
    return count.clamp_min(1) if isinstance(count, Tensor) else max(count, 1)


def _routing_sums(
    batch: PackedBatch, choices: Sequence[RouterOutput], ranks: Ranks
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Balance loss and z-loss, means over blocks and sums over positions; positions; every load.

    The balance loss is linear in positions once the load is known, which is that of all ranks.
    """
    modality_M, number = batch.modality_BT.flatten(), len(batch.streams.modalities)
    filled_M = modality_M != PADDING
    positions = filled_M.sum()
    if not choices:
        zero = torch.zeros((), device=modality_M.device)
        no_load = torch.zeros(0, number, 0, dtype=torch.int64, device=modality_M.device)
        return zero, zero, positions, no_load
    load_QXE = torch.stack([choice.load(modality_M, number) for choice in choices])
    load_QE, count = ranks.all_sum(load_QXE.sum(dim=1), positions)
    pairs = zip(choices, load_QE, strict=True)
    balance = torch.stack([each.balance_loss(filled_M, load_E, count) for each, load_E in pairs])
    router_z = torch.stack([choice.z_loss(filled_M) for choice in choices])
    return balance.mean(), router_z.mean(), positions, load_QXE
