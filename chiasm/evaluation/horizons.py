"""Likeness of imagined views to the truth, by the number of frames ahead."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from chiasm.evaluation.evaluation import HorizonPoint
from chiasm.evaluation.pictures import LIKENESS
from chiasm.evaluation.rows import Measurement, Row

if TYPE_CHECKING:
    from chiasm.evaluation.run import Run

_HEADLINE_FRAMES = 8
"""Headlines are about the farthest horizon up to this one."""


def frames_ahead(count: int) -> str:
    """Returns the words for so many frames ahead."""
    return f"{count} frame{'s' if count > 1 else ''} ahead"


@dataclass(frozen=True)
class ViewsAhead:
    """Rows on views of the same items at several horizons."""

    run: Run[Any]
    section: str
    clusters: np.ndarray
    """Walk, map or file of each item, int64 [N]."""
    headlines: Collection[str]
    """Names of the baselines of headlines."""
    words: Callable[[int], str] = frames_ahead
    """Words for a horizon."""
    axis: str = "frames ahead"
    """Name of what horizons count."""

    def points(
        self,
        likeness: Mapping[str, Mapping[str, np.ndarray]],
        ahead: int,
        horizons: Sequence[int],
        of: str,
        told_first: Collection[str],
    ) -> Iterator[HorizonPoint]:
        """Yields a row per measure and baseline at one of some horizons.

        ``likeness`` has that of the imagined views, by measure, under ``""``, and those of the
        baselines under their names; ``told_first`` are the measures of headlines.
        """
        farthest = max((each for each in horizons if each <= _HEADLINE_FRAMES), default=0)
        for name in LIKENESS:
            contenders = {each: found[name] for each, found in likeness.items() if each}
            headlines = self.headlines if ahead == farthest and name in told_first else ()
            title = f"{name} of the imagined view {self.words(ahead)}{of}"
            measure = self._measurement(name)
            for row in measure.rows(title, likeness[""][name], contenders, headlines):
                yield HorizonPoint(of.removeprefix(", "), name, ahead, row, self.axis)

    def ceilings(self, likeness: Mapping[str, np.ndarray], ahead: int, of: str) -> Iterator[Row]:
        """Yields a row per measure on the truth through the tokenizer."""
        for name, values in likeness.items():
            title = f"{name} of the truth {self.words(ahead)}{of}, decoded: the ceiling"
            yield self._measurement(name).row(title, values)

    def _measurement(self, name: str) -> Measurement:
        return self.run.measurement(self.section, *LIKENESS[name], self.clusters)
