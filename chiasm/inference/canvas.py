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

    Args:
        pretrained: the model.
        shape: of the items.
        history: rows whose last position is the mark that opens an item.
        group: the members that generate, as ``history.gather`` returns them.
        guidance: g in v = v_unconditional + g·(v_conditional - v_unconditional), of all items or
            [N] of each; the number 1 has no unconditional branch.
        apart: whether other groups run between its steps: it then has rows of its own.
    """

    def __init__(
        self,
        pretrained: Pretrained,
        shape: StreamShape,
        history: History,
        group: Sequence[int],
        guidance: float | Sequence[float],
        *,
        apart: bool = False,
    ) -> None:
        self._decoder, self._stream = pretrained.decoder, shape.name
        self._guided = guidance != 1
        self._guidance_N11 = torch.tensor(guidance, device=pretrained.device).view(-1, 1, 1)
        self._prediction = pretrained.flow.of(shape.name).prediction
        decoder, marks = pretrained.decoder, pretrained.text_tokenizer.marks[shape.name]
        item, nothing = item_passage(shape, marks), _no_latents(decoder, shape, len(group))
        if self._guided:
            self._reading = _both_branches(decoder, history, group, marks, shape)
        elif apart:
            held = [history.held(member) for member in group]
            cache = history.branch(group, beside=0, room=len(item))
            self._reading = lay_out(decoder, [item] * len(group), nothing, 0.0, held, cache)
        else:
            self._reading = history.lay_out(group, [item] * len(group), nothing, 0.0)
        self._fixed = decoder.fix(self._reading.inputs)

    def velocity(self, z_NPC: Tensor, time: float | Sequence[float]) -> Tensor:
        """Returns the guided velocity of all items, float32 [N, P, C].

        ``time``: the flow time of all items, or [N] of each.
        """
        times = [time] if isinstance(time, float) else [*time]
        if len(set(times)) == 1:
            times = times[:1]  # one is embedded once
        if not self._guided:
            return self._predict(z_NPC, times)
        twice_BPC = torch.cat((z_NPC, z_NPC))
        without_NPC, with_NPC = self._predict(twice_BPC, times * (2 if times[1:] else 1)).chunk(2)
        return without_NPC + self._guidance_N11 * (with_NPC - without_NPC)

    def _predict(self, z_BPC: Tensor, times: Sequence[float]) -> Tensor:
        (inputs, *behind), z_LC = self._reading, z_BPC.flatten(0, 1)
        time_L = z_LC.new_tensor(times)
        if len(times) > 1:
            time_L = time_L.repeat_interleave(z_BPC.shape[1])
        own = inputs.latents[self._stream]._replace(z_LC=z_LC, time_L=time_L)
        x_BPD = self._decoder(replace(inputs, latents={self._stream: own}), *behind, self._fixed)
        output_LC = self._decoder.latent_output(self._stream, x_BPD.flatten(0, 1)).float()
        return velocity(output_LC, z_LC, time_L, self._prediction).view_as(z_BPC)


def _both_branches(
    decoder: Decoder, history: History, group: Sequence[int], marks: Marks, shape: StreamShape
) -> Reading:
    """Returns each item twice: behind the mark that opens it alone, then behind its history."""
    count, rows, item = len(group), 2 * len(group), item_passage(shape, marks)
    held = [history.held(member) for member in group]
    cache = history.branch(group, beside=count, room=len(item))
    begins, nothing = [Passage([marks.begin])] * count, [0] * count
    opening = cache.slice(cache.lengths_B[:count], slots=1)
    decoder(*lay_out(decoder, begins, {}, 1.0, nothing, opening, [each - 1 for each in held]))
    cache.lengths_B[:count] = 1
    latents = _no_latents(decoder, shape, rows)
    return lay_out(decoder, [item] * rows, latents, 0.0, [1] * count + held, cache, held + held)


def _no_latents(decoder: Decoder, shape: StreamShape, count: int) -> dict[str, Tensor]:
    """Returns zeros in place of the latents of so many items."""
    size = (count * shape.num_tokens, shape.channels)
    return {shape.name: torch.zeros(size, device=decoder.device)}
