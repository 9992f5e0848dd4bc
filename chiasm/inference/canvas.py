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
from chiasm.inference.passage import Passage
from chiasm.inference.pretrained import Pretrained


def item_passage(
    shape: StreamShape, marks: Marks, *, opened: bool = False, closed: bool = False
) -> Passage:
    """Returns an item's latent tokens, behind the mark that opens it or before its closing one."""
    ids = [*[marks.begin] * opened, *[marks.fill] * shape.num_tokens, *[marks.end] * closed]
    return Passage(ids, ((shape.name, int(opened)),))


class Canvas:
    """Velocities of N items at the end of N histories.

    Classifier-free guidance (arXiv 2207.12598): the unconditional branch is what a document with a
    dropped condition looks like in training. The item attends to the mark that opens it and to
    itself, without history, at unchanged rotary positions.

    Args:
        pretrained: the model.
        stream: name of the items' stream.
        history: rows whose last position is the mark that opens an item.
        group: the members that generate, as ``history.gather`` returns them.
        guidance: g in v = v_unconditional + g·(v_conditional - v_unconditional); at 1 there is no
            unconditional branch.
    """

    def __init__(
        self,
        pretrained: Pretrained,
        stream: str,
        history: History,
        group: Sequence[int],
        guidance: float,
    ) -> None:
        self._decoder, self._stream, self._guidance = pretrained.decoder, stream, guidance
        self._prediction = pretrained.flow.of(stream).prediction
        decoder, marks = pretrained.decoder, pretrained.text_tokenizer.marks[stream]
        count, shape = len(group), decoder.shapes[stream]
        size = (count * shape.num_tokens, shape.channels)
        latents = {stream: torch.zeros(size, device=decoder.device)}
        alone = [item_passage(shape, marks)] * count
        self._conditional = history.lay_out(group, alone, latents, 0.0)
        begins = [history.held(member) - 1 for member in group]
        opened = [item_passage(shape, marks, opened=True)] * count
        self._unconditional = lay_out(decoder, opened, latents, 0.0, begins, cache=None)

    def velocity(self, z_NPC: Tensor, time: float) -> Tensor:
        """Returns the guided velocity of all items, float32 [N, P, C], at one flow time."""
        conditional_LC = self._predict(self._conditional, z_NPC, time)
        if self._guidance == 1:
            return conditional_LC.view_as(z_NPC)
        velocity_LC = self._predict(self._unconditional, z_NPC, time)
        velocity_LC = velocity_LC + self._guidance * (conditional_LC - velocity_LC)
        return velocity_LC.view_as(z_NPC)

    def _predict(self, reading: Reading, z_NPC: Tensor, time: float) -> Tensor:
        z_LC = z_NPC.flatten(0, 1)
        time_L = z_LC.new_full((len(z_LC),), time)
        own = reading.inputs.latents[self._stream]._replace(z_LC=z_LC, time_L=time_L)
        inputs = replace(reading.inputs, latents={self._stream: own})
        x_BTD = self._decoder(*reading._replace(inputs=inputs))
        x_LD = x_BTD.flatten(0, 1)[own.position_L]
        output_LC = self._decoder.latent_output(self._stream, x_LD).float()
        return velocity(output_LC, z_LC, time_L, self._prediction)
