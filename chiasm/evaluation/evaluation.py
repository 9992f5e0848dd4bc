"""What an evaluation hands to the report: rows, flow-loss curves, and samples to look at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from chiasm.data.reading import PassedOver
from chiasm.evaluation.rows import Row
from chiasm.evaluation.shared import MeasureSettings


@dataclass(frozen=True)
class Panel:
    """One labelled picture of a sample."""

    label: str
    pixels: np.ndarray
    """uint8 [H, W, 3]."""


@dataclass(frozen=True)
class Sample:
    """What the model made of one held-out item, beside the truth."""

    section: str
    lines: tuple[tuple[str, str], ...]
    """(label, text) pairs, in reading order."""
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class FlowPoint:
    """Flow loss of one source at one noise level."""

    source: str
    flow_time: float
    row: Row


@dataclass(frozen=True)
class HorizonPoint:
    """Imagined views so many frames ahead, beside one baseline."""

    source: str
    """Empty where there is but one."""
    measure: str
    frames_ahead: int
    row: Row


@dataclass(frozen=True)
class Findings:
    """What a measure found."""

    rows: Sequence[Row] = ()
    samples: Sequence[Sample] = ()
    points: Sequence[FlowPoint | HorizonPoint] = ()
    """Of figures."""
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Section or part of it → why it could not be measured."""

    @classmethod
    def merged(cls, parts: Iterable[Findings]) -> Findings:
        """Returns all that several found."""
        parts = list(parts)
        return cls(
            [row for part in parts for row in part.rows],
            [sample for part in parts for sample in part.samples],
            [point for part in parts for point in part.points],
            {name: why for part in parts for name, why in part.skipped.items()},
        )


@dataclass(frozen=True)
class Evaluation:
    """Everything that was measured on held-out data."""

    settings: MeasureSettings
    """Those of all measures."""
    rows: tuple[Row, ...]
    flow_points: tuple[FlowPoint, ...]
    samples: tuple[Sample, ...]
    skipped: dict[str, str] = field(default_factory=dict)
    """Section → why it could not be measured."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Section → how long it took."""
    horizon_points: tuple[HorizonPoint, ...] = ()
    """Likeness of imagined views by how far ahead they lie."""
    passed_over: Mapping[str, PassedOver] = field(default_factory=dict)
    """Held-out source → what of it could not be used, and is in no number."""
