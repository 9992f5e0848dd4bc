"""Several models that train in one process, with their forward and backward passes made together.

Each keeps its own stream, noise, optimizer, checkpoints and metrics, and what it learns is what it
would learn alone, within rounding. Who fails leaves the others to go on.

Shape suffixes: S models, B rows of all their batches, L latent tokens of a stream's targets, R
positions that predict a token, M positions, C latent channels.
"""

from __future__ import annotations

import operator
import time
from collections.abc import Mapping, Sequence
from functools import partial, reduce
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from chiasm.batch.packed import PackedBatch
from chiasm.device import choose_device, deterministic_on_cpu
from chiasm.errors import UserError
from chiasm.flow import mix
from chiasm.loop.loop import Ahead
from chiasm.model.cross_entropy import LOGITS_BYTES
from chiasm.model.elementwise import take_rows
from chiasm.model.inputs import DecoderInput
from chiasm.model.mask import IntervalMask
from chiasm.model.settings import ATTENTIONS, ModelSettings
from chiasm.model.stacked import DecoderStack
from chiasm.stop import Stopped, StopRequest
from chiasm.training.losses import Counts, Losses, Sums
from chiasm.training.noise import draw_noise
from chiasm.training.objective import Objective, flow_loss, reaching
from chiasm.training.settings import TrainingSettings
from chiasm.training.trainer import Read, Trainer

WIDEST = 64
"""Width up to which it pays: the numbers of wider models outweigh the calls."""


def trains_faster_together(model: ModelSettings, training: TrainingSettings) -> bool:
    """Whether models of these settings, of several seeds, take less time together than alone."""
    cpu = training.device in ("auto", "cpu") and choose_device(training.device).type == "cpu"
    return (
        cpu
        and model.width <= WIDEST
        and model.experts != "moe"
        and model.attention.kind == ATTENTIONS.default
        and model.time_conditioning == "added"
        and model.shortcut_steps is None
        and training.precision != "bfloat16"
        and not training.compile_blocks
        and not training.frozen
        and training.lora is None
        and not training.written_on_the_way
        and (model.inner is None or model.inner.target == "latents")
        and training.activation_checkpointing in ("auto", "none")
    )


def train_together(trainers: Mapping[Path, Trainer]) -> dict[Path, UserError]:
    """Trains each as its own :meth:`Loop.run` would in its folder; returns those that failed.

    Whoever has done the fewest steps takes the next one, so that models that were saved at
    different steps meet.

    Raises:
        Stopped: on SIGTERM or Ctrl-C; every model is saved at its last step.
    """
    failed: dict[Path, UserError] = {}
    stopped: Stopped | None = None
    stack: DecoderStack | None = None
    in_stack: list[Trainer] = []
    with deterministic_on_cpu(torch.device("cpu")), StopRequest() as stop:
        turns = {folder: own.turns(folder, stop) for folder, own in trainers.items()}

        def go_on(folder: Path, given: Ahead[Read] | UserError | None = None) -> None:
            nonlocal stopped
            turn = turns[folder]
            try:
                turn.throw(given) if isinstance(given, UserError) else turn.send(given)
                return
            except StopIteration:
                pass
            except Stopped as signal:
                stopped = signal
            except UserError as error:
                failed[folder] = error
            del turns[folder]

        for folder in trainers:
            go_on(folder)
        while turns:
            begin_seconds, batches = time.perf_counter(), {}
            step = min(trainers[folder].progress.step for folder in turns)
            for folder in [own for own in turns if trainers[own].progress.step == step]:
                if stop.signal is not None:
                    go_on(folder)
                    continue
                try:
                    batches[folder] = trainers[folder].read()
                except UserError as error:
                    go_on(folder, error)
            group = [trainers[folder] for folder in batches]
            if len(group) > 1 and group != in_stack:
                stack, in_stack = DecoderStack([own.decoder for own in group]), group
            found = _backward(group, list(batches.values()), stack)
            seconds = (time.perf_counter() - begin_seconds) / max(len(group), 1)
            for folder, read in zip(batches, found, strict=True):
                go_on(folder, Ahead(read, seconds))
    if stopped is not None:
        raise stopped
    return failed


def _backward(
    trainers: Sequence[Trainer],
    batches: Sequence[Sequence[PackedBatch]],
    stack: DecoderStack | None,
) -> list[Read]:
    """Adds the gradients of the loss of each trainer's batches."""
    if len(trainers) < 2 or stack is None or _are_large(trainers[0], batches[0][0]):
        return [own.backward_of(read) for own, read in zip(trainers, batches, strict=True)]
    first, seeds = trainers[0], [own.seed for own in trainers]
    counts = Counts.of_models([Counts.of(own) for own in batches])
    found = []
    for step in zip(*batches, strict=True):
        joined = PackedBatch.joined(step)
        latents = first.tokenizers.encode(joined.slots)
        done = first.progress.step
        summed = losses_together(stack, first.objective, step, joined, latents, seeds, done)
        first.objective.total(summed, counts).sum().backward()
        found.append(summed.detach())
    stack.hand_over()
    of_each = reduce(operator.add, found).unbind(len(trainers))
    return [
        Read(read, losses, trainer.flops(read))
        for trainer, read, losses in zip(trainers, batches, of_each, strict=True)
    ]


def _are_large(trainer: Trainer, batch: PackedBatch) -> bool:
    """Whether a batch has more logits than are to exist at once."""
    return 4 * trainer.decoder.vocabulary * batch.ids_BT.numel() > LOGITS_BYTES


def losses_together(
    stack: DecoderStack,
    objective: Objective,
    batches: Sequence[PackedBatch],
    joined: PackedBatch,
    latents: Mapping[str, Tensor],
    seeds: Sequence[int],
    done: int = 0,
) -> Losses:
    """As :meth:`Objective.losses` of each model on its batch with its seed, after ``done`` steps;
    each tensor has a first dimension S. ``latents`` are those of the joined batches."""
    pairs = list(zip(batches, seeds, strict=True))
    times_S = [objective.flow_times(batch, seed) for batch, seed in pairs]
    times, noise, z_t = {}, {}, {}
    for name, slots in joined.slots.items():
        times[name] = torch.cat([own[name] for own in times_S])
        noise[name] = torch.cat([draw_noise(batch, name, seed) for batch, seed in pairs])
        z_t[name] = mix(latents[name], noise[name], times[name][slots.item_L])
    inputs = DecoderInput.from_batch(joined, z_t, times)
    head, share = stack.first.inner_head, objective.settings.inner.share(done)
    behind = () if head is None else (head.block,)
    x_MD, row_P, *inner_MD = stack.forward(inputs, IntervalMask.from_batch(joined), behind)
    flow, inner = {}, {}
    for name in joined.streams.generated:
        slots = joined.slots[name]
        counts = [batch.slots[name].num_targets for batch in batches]
        output_LC = stack.latent_output(name, take_rows(x_MD, row_P[slots.position_G]), counts)
        z_LC, noise_LC, item_L = (
            each.index_select(0, slots.target_G)
            for each in (latents[name], noise[name], slots.item_L)
        )
        time_L, own = times[name][item_L], objective.settings.of(name)
        summed = partial(
            Sums.of_models,
            counts=counts,
            source=slots.source_N[item_L],
            num_sources=len(joined.source_names),
            time=time_L,
        )
        flow[name] = summed(flow_loss(output_LC, z_LC, noise_LC, time_L, own))
        if head is not None:
            x_LD = reaching(take_rows(inner_MD[0], row_P[slots.position_G]), share)
            output_LC = stack.inner_output(name, x_LD, counts)
            inner[name] = summed(flow_loss(output_LC, z_LC, noise_LC, time_L, own))
    text = _text_sums(stack, joined, x_MD, row_P, [batch.num_text_targets for batch in batches])
    zero_S = torch.zeros(len(batches))
    filled_S = torch.tensor([batch.num_filled for batch in batches])
    no_load = torch.zeros(len(batches), 0, len(joined.streams.modalities), 0, dtype=torch.int64)
    return Losses(text, flow, zero_S, zero_S, filled_S, no_load, inner)


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
