"""The objective: L = λ_text · cross-entropy + Σ λ_stream · flow loss, and the price of uneven
routing.

Each loss is a sum over the batch's targets and a count of them; only :meth:`Objective.total`
divides, by counts that the caller takes over all ranks and accumulation steps, so that the
average is never an average of averages.

Shape suffixes: N items of a stream, L their latent tokens (of targets only, where it says so), C
latent channels, R positions that predict a token, D width, M positions; Q blocks with a router, X
modalities, E routed experts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import torch
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
from chiasm.model.inputs import DecoderInput
from chiasm.model.mask import IntervalMask
from chiasm.model.router import RouterOutput
from chiasm.ranks import ALONE, Ranks
from chiasm.training.losses import Counts, Losses, Sums
from chiasm.training.noise import draw_noise, draw_steps, draw_times, has_shortcuts
from chiasm.training.settings import ObjectiveSettings
from chiasm.training.shortcuts import Line, with_shortcuts


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
        teaching: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> Losses:
        """Noise the targets with draws keyed by ``seed``, and sum the losses; one forward pass with
        gradients.

        ``latents`` are clean, [L, C] of all items of each stream. ``times``, float [N], and
        ``noise``, [L, C], are given where they are not to be drawn; with given times context is
        clean, and nothing is a shortcut. Inside ``teaching`` the decoder has the weights that say
        where shortcuts lead.
        """
        streams = batch.slots.items()
        noise = noise or {name: draw_noise(batch, name, seed) for name, _ in streams}
        if times is None:
            drawn = self.flow_times(batch, seed)
        else:
            drawn = {name: torch.where(own.target_N, times[name], 1.0) for name, own in streams}
        lines = {name: Line(noise[name], latents[name], drawn[name]) for name, _ in streams}
        if times is None and decoder.settings.shortcut_steps is not None:
            lines = self._shortcuts(decoder, batch, lines, seed, teaching)
        z_t = {name: line.at(batch.slots[name]) for name, line in lines.items()}
        at = {name: line.time_N for name, line in lines.items()}
        told = {name: line.step_N for name, line in lines.items() if line.step_N is not None}
        inputs = DecoderInput.from_batch(batch, z_t, at, told)
        x_BTD, choices = decoder.forward_with_routing(inputs, IntervalMask.from_batch(batch))
        x_MD = x_BTD.flatten(0, 1)
        text = _text_sums(decoder, batch, x_MD)
        flow = {}
        for name in batch.streams.generated:
            slots, own, line = batch.slots[name], self.settings.of(name), lines[name]
            output_LC = decoder.latent_output(name, take_rows(x_MD, slots.position_G)).float()
            z_LC, noise_LC, item_L = (
                each.index_select(0, slots.target_G)
                for each in (line.z_LC, line.noise_LC, slots.item_L)
            )
            time_L = line.time_N[item_L]
            loss_L = flow_loss(output_LC, z_LC, noise_LC, time_L, own)
            step_L = None if line.step_N is None else line.step_N[item_L]
            source_L, number = slots.source_N[item_L], len(batch.source_names)
            flow[name] = Sums.of(loss_L, source_L, number, time_L, step_L)
        return Losses(text, flow, *_routing_sums(batch, choices, self.ranks))

    def _shortcuts(
        self,
        decoder: Decoder,
        batch: PackedBatch,
        lines: Mapping[str, Line],
        seed: int,
        teaching: Callable[[], AbstractContextManager[None]],
    ) -> dict[str, Line]:
        """Lines on which some items take long steps, and all are told how long theirs is."""
        assert decoder.settings.shortcut_steps is not None
        steps = draw_steps(batch, seed, decoder.settings.shortcut_steps)
        if not has_shortcuts(batch):
            return {name: line._replace(step_N=steps[name].size_N) for name, line in lines.items()}
        alphas = {name: self._alphas(batch, name) for name in lines}
        with teaching():
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
