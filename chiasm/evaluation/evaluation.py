"""The results of an evaluation: rows, points of curves, and samples to look at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from chiasm.data.reading import PassedOver
from chiasm.documents import Sound
from chiasm.evaluation.rows import Row
from chiasm.evaluation.shared import MeasureSettings
from chiasm.waveform import Waveform

FILE_RATE = 16_000
"""Samples per second of a file's sound on a page."""


@dataclass(frozen=True)
class Panel:
    """One labelled image of a sample."""

    label: str
    pixels: np.ndarray
    """uint8 [H, W, 3]."""


class Strip(Panel):
    """Frames side by side, in a row of their own."""

    @classmethod
    def of(cls, label: str, frames: Iterable[np.ndarray | None]) -> Strip:
        """Returns frames, uint8 [H, W, 3] each; where there is None, nothing is shown."""
        frames = list(frames)
        empty = np.full_like(next(each for each in frames if each is not None), 255)
        return cls(label, _side_by_side([empty if each is None else each for each in frames]))


@dataclass(frozen=True)
class Animation(Panel):
    """Walks side by side, step by step; ``pixels`` is the first moment."""

    moments: np.ndarray
    """uint8 [T, H, W, 3]."""
    parts: tuple[str, ...]
    """Name of each walk."""

    @classmethod
    def of(cls, label: str, walks: Mapping[str, np.ndarray]) -> Animation:
        """Returns walks, uint8 [T, H, W, 3] each, by their names."""
        moments = [_side_by_side(views) for views in zip(*walks.values(), strict=True)]
        return cls(label, moments[0], np.stack(moments), tuple(walks))


def _side_by_side(frames: Sequence[np.ndarray]) -> np.ndarray:
    """Returns frames of one size in a row, with gaps."""
    height, width, _ = frames[0].shape
    gap = np.full((height, max(1, width // 16), 3), 255, np.uint8)
    return np.concatenate([part for frame in frames for part in (gap, frame)][1:], axis=1)


@dataclass(frozen=True)
class SoundPanel:
    """One labelled sound of a sample, which a page shows as a picture with a player."""

    label: str
    sound: Waveform

    @classmethod
    def of(cls, label: str, item: Sound) -> SoundPanel:
        """Returns the panel of an item: samples as they are, files at 16 kHz with one channel.

        Raises:
            UserError: it cannot be read.
        """
        data = item.data
        if not isinstance(data, Waveform):
            data = Waveform(item.samples(FILE_RATE), FILE_RATE)
        return cls(label, data)

    def beginning(self, seconds: float) -> SoundPanel:
        """Returns the first so many seconds; the label tells where there are more."""
        whole = self.sound
        if whole.seconds <= seconds:
            return self
        first_CT = whole.samples_CT[:, : round(seconds * whole.rate)]
        label = f"{self.label}, the first {seconds:g} of {whole.seconds:.1f} seconds"
        return SoundPanel(label, Waveform(first_CT, whole.rate))


@dataclass(frozen=True)
class Sample:
    """The model's output for one held-out item, beside the truth."""

    section: str
    lines: tuple[tuple[str, str], ...]
    """(label, text) pairs, in reading order."""
    panels: tuple[Panel | SoundPanel, ...]


@dataclass(frozen=True)
class FlowPoint:
    """Flow loss of one source at one noise level."""

    source: str
    flow_time: float
    row: Row


@dataclass(frozen=True)
class HorizonPoint:
    """Likeness of views imagined so many frames ahead, beside one baseline."""

    source: str
    """Name of the source; empty where there is only one."""
    measure: str
    frames_ahead: int
    row: Row
    axis: str = "frames ahead"
    """Name of what is counted."""


@dataclass(frozen=True)
class StepPoint:
    """One measure of what was made in so many solver steps."""

    measure: str
    steps: int
    row: Row


Point = FlowPoint | HorizonPoint | StepPoint


@dataclass(frozen=True)
class Findings:
    """The results of one measure."""

    rows: Sequence[Row] = ()
    samples: Sequence[Sample] = ()
    points: Sequence[Point] = ()
    """Points of the figures' curves."""
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Section or part of it → reason why it could not be measured."""

    @classmethod
    def merged(cls, parts: Iterable[Findings]) -> Findings:
        """Returns the findings of several measures as one."""
        parts = list(parts)
        return cls(
            [row for part in parts for row in part.rows],
            [sample for part in parts for sample in part.samples],
            [point for part in parts for point in part.points],
            {name: why for part in parts for name, why in part.skipped.items()},
        )


@dataclass(frozen=True)
class Evaluation:
    """All results on held-out data."""

    settings: MeasureSettings
    """Settings of all measures."""
    rows: tuple[Row, ...]
    flow_points: tuple[FlowPoint, ...]
    samples: tuple[Sample, ...]
    skipped: dict[str, str] = field(default_factory=dict)
    """Section → reason why it could not be measured."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Section → its duration."""
    horizon_points: tuple[HorizonPoint, ...] = ()
    """Likeness of imagined views by the number of frames ahead."""
    step_points: tuple[StepPoint, ...] = ()
    """Quality by the number of solver steps."""
    passed_over: Mapping[str, PassedOver] = field(default_factory=dict)
    """Held-out source → what of it could not be used, and is in no number."""
