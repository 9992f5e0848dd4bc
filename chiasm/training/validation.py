"""The same held-out rows at the same noise levels, whenever it is asked for.

Every target has one fixed flow time: the levels are dealt out evenly and shuffled by a key,
so that a level does not fall on the same frame of every video. Noise is keyed by row as in
training, but by :data:`VALIDATION_SEED`: two runs, and two moments of one run, see equal pictures
under equal noise.

Shape suffixes: N items of a stream.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from functools import reduce

import numpy as np
import torch
from torch import Tensor

from chiasm.batch.packed import PackedBatch
from chiasm.flow import FLOW_TIMES
from chiasm.model.decoder import Decoder
from chiasm.ranks import ALONE, Ranks
from chiasm.tokenizers.streams import StreamTokenizers
from chiasm.training.objective import Objective
from chiasm.training.tally import tally

VALIDATION_SEED = 0
"""Keys the held-out rows, their noise and their levels, whatever the run's seed is."""


class Validation:
    """Held-out batches, encoded once, for a decoder on ``device``; ranks share them.

    All ranks give the same batches. No condition should be dropped in them.
    """

    def __init__(
        self,
        batches: Iterable[PackedBatch],
        tokenizers: StreamTokenizers,
        device: torch.device,
        ranks: Ranks = ALONE,
    ) -> None:
        moved = [batch.to(device) for batch in batches]
        times = {
            name: _dealt([batch.slots[name].target_N for batch in moved]) for name in tokenizers
        }
        self._ranks = ranks
        size, number = ranks.size, len(moved)
        # Ranks make equally many passes: those that are left over count for nothing.
        turns = range(ranks.rank, -(-number // size) * size, size)
        self._items = []
        for turn in turns:
            n = turn % number
            own = {name: each[n] for name, each in times.items()}
            item = (moved[n], tokenizers.encode(moved[n].slots), own)
            self._items.append((item, turn < number))

    @torch.no_grad()
    def run(self, decoder: Decoder, objective: Objective) -> dict[str, float]:
        """Losses of the decoder as it is, by name (see :func:`chiasm.training.tally.tally`)."""
        alone = Objective(objective.settings)  # batches of several ranks have nothing in common
        found = []
        for (batch, latents, times), counts in self._items:
            losses = alone.losses(decoder, batch, latents, VALIDATION_SEED, times)
            found.append(losses if counts else losses.zeros())
        first = self._items[0][0][0]
        total = reduce(operator.add, found).over(self._ranks)
        return tally(total, objective, first.source_names, first.streams.modalities)


def _dealt(targets: Sequence[Tensor]) -> list[Tensor]:
    """float32 [N] for each batch's bool [N]: over all targets, each level equally often."""
    counts = [int(target_N.sum()) for target_N in targets]
    levels = np.resize(np.asarray(FLOW_TIMES, np.float32), sum(counts))
    shuffled = torch.from_numpy(np.random.default_rng(VALIDATION_SEED).permutation(levels))
    times = []
    for target_N, own in zip(targets, shuffled.split(counts), strict=True):
        time_N = torch.ones(len(target_N), device=target_N.device)
        time_N[target_N] = own.to(target_N.device)
        times.append(time_N)
    return times
