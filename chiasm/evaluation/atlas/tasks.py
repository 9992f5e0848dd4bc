"""Routing of images that are read (understanding) and of images that are drawn (generation).

Selection rates of vision positions, in documents where text follows an image, against those in
documents that ask for an image: Pearson's correlation over the experts of each block. It stands
between two others: a lower reference (images that are read against the text beside them) and a
ceiling for this number of documents (read images of one half of the maps against those of the
other).

An image that is read is clean and one that is drawn is noised. The same correlation with the drawn
images at each tenth of flow time separates the two differences.

Shape suffixes: D documents, G tenths of flow time, Q blocks with a router, R routed experts, S
resamples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chiasm.evaluation.atlas.observation import CONTEXT, TARGET, TEXT, Observation, Task
from chiasm.evaluation.atlas.specialisation import rates
from chiasm.intervals import Interval, Resamples


@dataclass(frozen=True)
class Tasks:
    """Correlations over experts [Q], each nan where the experts of a side are used alike."""

    between: Interval
    """Read images against drawn ones."""
    with_text_Q: np.ndarray
    """Read images against the text of the same documents."""
    halves_Q: np.ndarray
    """Read images of every other cluster against the rest; nan with one cluster."""
    times: tuple[float, ...]
    """Flow times [G]."""
    by_time_GQ: np.ndarray
    """Read images against drawn ones at each of these times."""
    read_QR: np.ndarray
    """Rates of read images."""
    drawn_QR: np.ndarray
    """Rates of drawn images."""
    documents: dict[Task, int]
    """Number of documents of each task."""


def pearson(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns Pearson's correlation [...] along the last axis; nan where one side does not vary."""
    a, b = (side - side.mean(axis=-1, keepdims=True) for side in (first, second))
    size = np.sqrt((a**2).sum(-1) * (b**2).sum(-1))
    product = (a * b).sum(-1)
    return np.divide(product, size, out=np.full(product.shape, np.nan), where=size > 0)


def measure_tasks(observed: Observation, resamples: Resamples) -> Tasks | None:
    """Returns the correlations; None where documents of one of the tasks are missing."""
    reading = observed.task_D == Task.UNDERSTANDING
    drawing = observed.task_D == Task.GENERATION
    if not reading.any() or not drawing.any():
        return None

    def rate(part: int, chosen_D: np.ndarray) -> np.ndarray:
        return rates(
            observed.counts(part)[chosen_D].sum(axis=0),
            observed.positions(part)[chosen_D].sum(),
            observed.choices,
        )

    def again(part: int, chosen_D: np.ndarray) -> np.ndarray:
        counts = observed.counts(part) * chosen_D[:, None, None]
        positions = observed.positions(part) * chosen_D
        return rates(resamples.sums(counts), resamples.sums(positions), observed.choices)

    read_QR, drawn_QR = rate(CONTEXT, reading), rate(TARGET, drawing)
    between_SQ = pearson(again(CONTEXT, reading), again(TARGET, drawing))
    # Numbered among clusters that are read, so that both halves have equally many.
    _, place_D = np.unique(np.where(reading, observed.cluster_D, -1), return_inverse=True)
    even, odd = (reading & (place_D % 2 == rest) for rest in range(2))
    return Tasks(
        between=Interval.of(pearson(read_QR, drawn_QR), between_SQ),
        with_text_Q=pearson(read_QR, rate(TEXT, reading)),
        halves_Q=pearson(rate(CONTEXT, even), rate(CONTEXT, odd)),
        times=tuple(map(float, observed.noise.groups)),
        by_time_GQ=pearson(read_QR, _rates_by_time(observed, drawing)),
        read_QR=read_QR,
        drawn_QR=drawn_QR,
        documents={
            Task.UNDERSTANDING: int(reading.sum()),
            Task.GENERATION: int(drawing.sum()),
        },
    )


def _rates_by_time(observed: Observation, chosen_D: np.ndarray) -> np.ndarray:
    """Returns the rates of these documents' targets at each tenth of flow time: [G, Q, R]."""
    noise = observed.noise
    count_GQR = noise.count_DGQR[chosen_D].sum(axis=0, dtype=np.int64)
    return rates(count_GQR, noise.positions_DG[chosen_D].sum(axis=0), observed.choices)
