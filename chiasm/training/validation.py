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
from chiasm.tokenizers.streams import StreamTokenizers
from chiasm.training.objective import Objective
from chiasm.training.tally import tally

VALIDATION_SEED = 0
"""Keys the held-out rows, their noise and their levels, whatever the run's seed is."""


class Validation:
    """Held-out batches, encoded once, for a decoder on ``device``.

    No condition should be dropped in them.
    """

    def __init__(
        self,
        batches: Iterable[PackedBatch],
        tokenizers: StreamTokenizers,
        device: torch.device,
    ) -> None:
        moved = [batch.to(device) for batch in batches]
        times = {
            name: _dealt([batch.slots[name].target_N for batch in moved]) for name in tokenizers
        }
        self._items = [
            (batch, tokenizers.encode(batch.slots), {name: own[n] for name, own in times.items()})
            for n, batch in enumerate(moved)
        ]

    @torch.no_grad()
    def run(self, decoder: Decoder, objective: Objective) -> dict[str, float]:
        """Losses of the decoder as it is, by name (see :func:`chiasm.training.tally.tally`)."""
        found = [
            objective.losses(decoder, batch, latents, VALIDATION_SEED, times)
            for batch, latents, times in self._items
        ]
        first = self._items[0][0]
        total = reduce(operator.add, found)
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
