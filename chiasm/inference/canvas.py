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
        guidance: g; at 1 there is no unconditional branch.
        inner_guidance: i; above 1 the model has a head in the middle that predicts latents.
        step: size of a step of the solver, as a share of the whole way, which models with shortcuts
            are told; 0 is infinitely short.
    """

    def __init__(
        self,
        pretrained: Pretrained,
        shape: StreamShape,
        history: History,
        group: Sequence[int],
        guidance: float,
        inner_guidance: float = 1.0,
        step: float = 0.0,
    ) -> None:
        self._step = step
        self._decoder, self._stream, self._guidance = pretrained.decoder, shape.name, guidance
        self._inner_guidance = inner_guidance
        self._prediction = pretrained.flow.of(shape.name).prediction
        decoder, marks = pretrained.decoder, pretrained.text_tokenizer.marks[shape.name]
        item, nothing = item_passage(shape, marks), _no_latents(decoder, shape, len(group))
        self._reading = (
            history.lay_out(group, [item] * len(group), nothing, 0.0)
            if guidance == 1
            else _both_branches(decoder, history, group, marks, shape)
        )
        self._fixed = decoder.fix(self._reading.inputs)

    def velocity(self, z_NPC: Tensor, time: float) -> Tensor:
        """Returns the guided velocity of all items, float32 [N, P, C], at one flow time."""
        branches = 1 if self._guidance == 1 else 2
        (inputs, *behind), z_BPC = self._reading, torch.cat([z_NPC] * branches)
        z_LC, time_1 = z_BPC.flatten(0, 1), z_NPC.new_full((1,), time)
        step_1 = torch.full_like(time_1, self._step)
        own = inputs.latents[self._stream]._replace(z_LC=z_LC, time_L=time_1, step_L=step_1)
        inputs = replace(inputs, latents={self._stream: own})
        head = self._decoder.inner_head if self._inner_guidance > 1 else None
        blocks = () if head is None else (head.block,)
        passed = self._decoder.forward_with_routing(inputs, *behind, self._fixed, blocks)
        output_LC = self._decoder.latent_output(self._stream, passed.x_BTD.flatten(0, 1))
        *without, with_NPC = self._velocity(output_LC, z_BPC, time_1).chunk(branches)
        guided_NPC = with_NPC
        for each_NPC in without:
            guided_NPC = each_NPC + self._guidance * (with_NPC - each_NPC)
        if head is not None:
            x_NPD = passed.behind[0][-len(z_NPC) :]
            worse_NPC = self._velocity(head(self._stream, x_NPD.flatten(0, 1)), z_NPC, time_1)
            guided_NPC = guided_NPC + (self._inner_guidance - 1) * (with_NPC - worse_NPC)
        return guided_NPC

    def _velocity(self, output_LC: Tensor, z_BPC: Tensor, time_1: Tensor) -> Tensor:
        """The velocity [B, P, C] that a head's output stands for."""
        z_LC = z_BPC.flatten(0, 1)
        return velocity(output_LC.float(), z_LC, time_1, self._prediction).view_as(z_BPC)


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


def _no_latents(decoder: Decoder, shape: StreamShape, count: int) -> dict[str, Tensor]:
    """Returns zeros in place of the latents of so many items."""
    size = (count * shape.num_tokens, shape.channels)
    return {shape.name: torch.zeros(size, device=decoder.device)}
