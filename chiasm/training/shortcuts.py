"""Shortcuts: where one long step of the solver is to lead (arXiv 2410.12557).

A decoder that is told how long a step is can take it at once. What it should predict for a step of
the size d is the mean velocity of two steps of the size d / 2, which it takes itself, without
gradients; the smallest ones it is not told, so that they follow the flow's own velocity. A mean
velocity v at z_t is that of a straight line, from the noise z_t - t·v to the data z_t + (1 - t)·v:
where these stand in place of an item's noise and data, the flow loss is that of the shortcut,
whatever is predicted and wherever it is compared.

Sizes are shares of the whole way before the shift of flow times, as a solver takes its steps.

Shape suffixes: N items of a stream, L their latent tokens, C latent channels, G latent tokens of
targets, B rows, T positions, D width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from chiasm.batch.packed import PackedBatch
from chiasm.batch.slots import Slots
from chiasm.flow import FlowSettings, mix, shift_time, velocity
from chiasm.model.decoder import Decoder
from chiasm.model.elementwise import take_rows
from chiasm.model.inputs import DecoderInput
from chiasm.model.mask import IntervalMask
from chiasm.training.noise import Steps


class Line(NamedTuple):
    """The straight lines that the items of a stream lie on, and where they are."""

    noise_LC: Tensor
    """At flow time 0."""
    z_LC: Tensor
    """At flow time 1."""
    time_N: Tensor
    """Where the items are."""
    step_N: Tensor | None = None
    """Size of the step that each is to take; 0 where it has none. None: nothing is told."""

    def at(self, slots: Slots) -> Tensor:
        """Returns the latents [L, C] where they are."""
        return mix(self.z_LC, self.noise_LC, self.time_N[slots.item_L])


def inputs_on(lines: Mapping[str, Line], batch: PackedBatch) -> tuple[DecoderInput, IntervalMask]:
    """Returns what the decoder reads of a batch whose items are where their lines say."""
    z_t = {name: line.at(batch.slots[name]) for name, line in lines.items()}
    times = {name: line.time_N for name, line in lines.items()}
    told = {name: line.step_N for name, line in lines.items() if line.step_N is not None}
    return DecoderInput.from_batch(batch, z_t, times, told), IntervalMask.from_batch(batch)


@torch.no_grad()
def with_shortcuts(
    decoder: Decoder,
    batch: PackedBatch,
    lines: Mapping[str, Line],
    steps: Mapping[str, Steps],
    alphas: Mapping[str, Tensor],
    settings: FlowSettings,
) -> dict[str, Line]:
    """Lets the items that have a step begin it, on the lines that two steps of half the size give.

    ``alphas`` [N] are of the shift of flow times. The decoder passes twice over the batch.
    """
    begin, middle, end = (
        {name: _times(line, steps[name], alphas[name], part) for name, line in lines.items()}
        for part in (0.0, 0.5, 1.0)
    )
    lines = {name: line._replace(time_N=begin[name]) for name, line in lines.items()}
    halves = {name: own.size_N / 2 for name, own in steps.items()}
    first = z = {name: line.at(batch.slots[name]) for name, line in lines.items()}
    for now, then in ((begin, middle), (middle, end)):
        v = _velocities(decoder, batch, z, now, halves, settings)
        z = {
            name: z[name] + (then[name] - now[name])[slots.item_L].unsqueeze(-1) * v[name]
            for name, slots in batch.slots.items()
        }
    return {
        name: _through(line, first[name], z[name], end[name], steps[name].size_N, batch.slots[name])
        for name, line in lines.items()
    }


def _velocities(
    decoder: Decoder,
    batch: PackedBatch,
    z: Mapping[str, Tensor],
    times: Mapping[str, Tensor],
    steps: Mapping[str, Tensor],
    settings: FlowSettings,
) -> dict[str, Tensor]:
    """The velocity of each stream's latents [L, C] at z_t and t, for steps [N]; 0 of context."""
    inputs = DecoderInput.from_batch(batch, z, times, steps)
    x_BTD = decoder(inputs, IntervalMask.from_batch(batch))
    found = {name: torch.zeros_like(z_LC) for name, z_LC in z.items()}
    for name in batch.streams.generated:
        slots, target_G = batch.slots[name], batch.slots[name].target_G
        x_GD = take_rows(x_BTD.flatten(0, 1), slots.position_G)
        output_GC = decoder.latent_output(name, x_GD).float()
        time_G = times[name][slots.item_L[target_G]]
        z_GC = z[name].index_select(0, target_G)
        v_GC = velocity(output_GC, z_GC, time_G, settings.of(name).prediction)
        found[name] = found[name].index_copy(0, target_G, v_GC)
    return found


def _times(line: Line, steps: Steps, alpha_N: Tensor, part: float) -> Tensor:
    """Flow times after part of the steps, [N]; of items without one their own."""
    time_N = shift_time(steps.begin_N + part * steps.size_N, alpha_N)
    return torch.where(steps.size_N > 0, time_N, line.time_N)


def _through(
    line: Line, first_LC: Tensor, last_LC: Tensor, end_N: Tensor, size_N: Tensor, slots: Slots
) -> Line:
    """The line through both ends of a step, where there is one."""
    time_L1, end_L1, size_L1 = (
        own_N[slots.item_L].unsqueeze(-1) for own_N in (line.time_N, end_N, size_N)
    )
    v_LC = (last_LC - first_LC) / torch.where(size_L1 > 0, end_L1 - time_L1, 1.0)
    noise_LC = torch.where(size_L1 > 0, first_LC - time_L1 * v_LC, line.noise_LC)
    z_LC = torch.where(size_L1 > 0, first_LC + (1 - time_L1) * v_LC, line.z_LC)
    return Line(noise_LC, z_LC, line.time_N, size_N)
