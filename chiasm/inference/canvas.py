"""The items of one stream that a group of requests generates together.

Each solver step reads only the items' own positions: what comes before them lies in the cache, and
an unfinished item leaves nothing there, because its slots are written again at every step.

Shape suffixes: N items, one for each request of the group; P latent tokens of one item, L of all;
C latent channels, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from chiasm.batch.streams import StreamShape
from chiasm.data.tokenizer import Marks
from chiasm.flow import velocity
from chiasm.inference.history import History, Reading, lay_out
from chiasm.inference.passage import Passage, PlacedItem
from chiasm.inference.pretrained import Pretrained
from chiasm.model.decoder import Decoder


def item_passage(shape: StreamShape, marks: Marks, *, closed: bool = False) -> Passage:
    """Returns an item's latent tokens, before its closing mark or without it."""
    ids = [*[marks.fill] * shape.num_tokens, *[marks.end] * closed]
    return Passage(ids, (PlacedItem(shape.name, 0, shape.grid),))


class Canvas:
    """Velocities of N items at the end of N histories.

    Classifier-free guidance (arXiv 2207.12598): the unconditional branch is what a document with a
    dropped condition looks like in training. The item attends to the mark that opens it and to
    itself, without history, at unchanged rotary positions. Both branches are rows of one pass.

    Guidance by the head in the middle takes the way from a worse model of the same condition to the
    better one (arXiv 2406.02507), and needs no further pass. Each guidance adds a difference:
    v = v_conditional + (g - 1)·(v_conditional - v_unconditional)
    + (i - 1)·(v_conditional - v_inner).

    Args:
        pretrained: the model.
        shape: of the items.
        history: rows whose last position is the mark that opens an item.
        group: the members that generate, as ``history.gather`` returns them.
        guidance: g, of all items or [N] of each; the number 1 has no unconditional branch.
        inner_guidance: i, likewise; where it is not the number 1, the model has a head in the
            middle that predicts latents.
        step: size of a step of the solver, as a share of the whole way, which models with shortcuts
            are told, of all items or [N] of each; 0 is infinitely short.
        apart: whether other groups run between its steps: it then has rows of its own.
    """

    def __init__(
        self,
        pretrained: Pretrained,
        shape: StreamShape,
        history: History,
        group: Sequence[int],
        guidance: float | Sequence[float],
        inner_guidance: float | Sequence[float] = 1.0,
        step: float | Sequence[float] = 0.0,
        *,
        apart: bool = False,
    ) -> None:
        self._decoder, self._stream, self._step = pretrained.decoder, shape.name, step
        self._guided = guidance != 1
        self._guidance_N11, self._inner_guidance_N11 = (
            torch.tensor(own, device=pretrained.device).view(-1, 1, 1)
            for own in (guidance, inner_guidance)
        )
        self._head = None if inner_guidance == 1 else pretrained.decoder.inner_head
        self._prediction = pretrained.flow.of(shape.name).prediction
        decoder, marks = pretrained.decoder, pretrained.text_tokenizer.marks[shape.name]
        item, nothing = item_passage(shape, marks), _no_latents(decoder, shape, len(group))
        if self._guided:
            self._reading = _both_branches(decoder, history, group, marks, shape)
        elif apart:
            held, behind = (
                [of(member) for member in group] for of in (history.held, history.position)
            )
            cache = history.branch(group, beside=0, room=len(item))
            items = [item] * len(group)
            self._reading = lay_out(decoder, items, nothing, 0.0, held, cache, behind)
        else:
            self._reading = history.lay_out(group, [item] * len(group), nothing, 0.0)
        self._fixed = decoder.fix(self._reading.inputs)

    def velocity(self, z_NPC: Tensor, time: float | Sequence[float]) -> Tensor:
        """Returns the guided velocity of all items, float32 [N, P, C].

        ``time``: the flow time of all items, or [N] of each.
        """
        branches = 2 if self._guided else 1
        (inputs, mask, cache), z_BPC = self._reading, torch.cat([z_NPC] * branches)
        time_L, step_L = (_of_tokens(own, z_NPC, branches) for own in (time, self._step))
        own = inputs.latents[self._stream]._replace(
            z_LC=z_BPC.flatten(0, 1), time_L=time_L, step_L=step_L
        )
        inputs = replace(inputs, latents={self._stream: own})
        given, inner = (inputs, mask, cache, self._fixed), list[Tensor]()
        if self._head is None:
            x_BPD = self._decoder(*given)
        else:
            x_BPD, _, inner = self._decoder.forward_with_routing(*given, (self._head.block,))
        output_LC = self._decoder.latent_output(self._stream, x_BPD.flatten(0, 1))
        *without, with_NPC = self._velocity(output_LC, z_BPC, time_L).chunk(branches)
        guided_NPC = with_NPC
        for each_NPC in without:
            guided_NPC = each_NPC + self._guidance_N11 * (with_NPC - each_NPC)
        if self._head is not None:
            x_LD = inner[0][-len(z_NPC) :].flatten(0, 1)
            time_L = time_L[-len(x_LD) :]
            worse_NPC = self._velocity(self._head(self._stream, x_LD), z_NPC, time_L)
            guided_NPC = guided_NPC + (self._inner_guidance_N11 - 1) * (with_NPC - worse_NPC)
        return guided_NPC

    def _velocity(self, output_LC: Tensor, z_BPC: Tensor, time_L: Tensor) -> Tensor:
        """The velocity [B, P, C] that a head's output stands for."""
        z_LC = z_BPC.flatten(0, 1)
        return velocity(output_LC.float(), z_LC, time_L, self._prediction).view_as(z_BPC)


def _both_branches(
    decoder: Decoder, history: History, group: Sequence[int], marks: Marks, shape: StreamShape
) -> Reading:
    """Returns each item twice: behind the mark that opens it alone, then behind its history."""
    count, rows, item = len(group), 2 * len(group), item_passage(shape, marks)
    behind = [history.position(member) for member in group]
    held = [history.held(member) for member in group]
    cache = history.branch(group, beside=count, room=len(item))
    begins, nothing = [Passage([marks.begin])] * count, [0] * count
    opening = cache.slice(cache.lengths_B[:count], slots=1)
    decoder(*lay_out(decoder, begins, {}, 1.0, nothing, opening, [each - 1 for each in behind]))
    cache.lengths_B[:count] = 1
    latents = _no_latents(decoder, shape, rows)
    return lay_out(decoder, [item] * rows, latents, 0.0, [1] * count + held, cache, behind + behind)


def _of_tokens(numbers: float | Sequence[float], z_NPC: Tensor, branches: int) -> Tensor:
    """Returns the number of each latent token of all branches, or one where they are alike."""
    of_each = [numbers] if isinstance(numbers, float) else list(numbers)
    if len(set(of_each)) == 1:
        return z_NPC.new_tensor(of_each[:1])  # one is embedded once
    return z_NPC.new_tensor(of_each).repeat_interleave(z_NPC.shape[1]).repeat(branches)


def _no_latents(decoder: Decoder, shape: StreamShape, count: int) -> dict[str, Tensor]:
    """Returns zeros in place of the latents of so many items."""
    size = (count * shape.num_tokens, shape.channels)
    return {shape.name: torch.zeros(size, device=decoder.device)}
