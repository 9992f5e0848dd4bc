"""Next view: the imagined frame against the last one, and true against shuffled actions."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from chiasm.actions import PREFIX
from chiasm.data.batch import ImageShape
from chiasm.documents import ActionVideos, Image
from chiasm.errors import UserError
from chiasm.evaluation.evaluation import Panel, Sample
from chiasm.evaluation.material import NothingToMeasure, spread
from chiasm.evaluation.pictures import psnr
from chiasm.evaluation.rows import Measurement, Row
from chiasm.evaluation.settings import EvaluationSettings
from chiasm.inference.pictures import feature_distance, features, fitted, through_tokenizer
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import SamplingSettings
from chiasm.inference.sampler import Sampler
from chiasm.inference.tasks import next_view

SECTION = "next view"


@dataclass(frozen=True)
class _Steps:
    """N moments of walks: the frames before, the actions, and the frame that follows."""

    history: list[list[np.ndarray]]
    actions: list[list[str]]
    last: np.ndarray
    truth: np.ndarray
    clusters: np.ndarray


def measure_next_views(
    pretrained: Pretrained, source: ActionVideos, settings: EvaluationSettings, of: str = ""
) -> tuple[list[Row], list[Sample]]:
    """Rows on PSNR and feature distance, and the first imagined frames.

    ``of`` follows the rows' names, where several sources are measured.

    Raises:
        NothingToMeasure: no walk has a frame after ``settings.history_frames``.
    """
    shape = pretrained.vision_tokenizer.image_shape
    steps = _steps(source, settings.next_views, settings.history_frames, shape)
    imagined = _imagine(pretrained, steps, [each[-1] for each in steps.actions], settings)
    wrong = [steps.actions[other][-1] for other in _others(len(steps.actions))]
    shuffled = _imagine(pretrained, steps, wrong, settings)
    last, truth = (through_tokenizer(pretrained, each) for each in (steps.last, steps.truth))
    contenders = {
        "last frame, decoded": last,
        "shuffled actions": shuffled,
        "raw last frame": steps.last,
    }
    seed, clusters = settings.seed, steps.clusters
    rows = _rows(
        f"PSNR of the imagined next view{of}",
        Measurement(SECTION, "dB", "higher", seed, clusters),
        psnr(imagined, steps.truth),
        {name: psnr(each, steps.truth) for name, each in contenders.items()},
    )
    rows.append(
        Measurement(SECTION, "dB", "higher", seed, clusters).row(
            f"PSNR of the truth{of}, decoded: the ceiling", psnr(truth, steps.truth)
        )
    )
    goal = features(pretrained, steps.truth)
    rows += _rows(
        f"feature distance of the imagined next view{of}",
        Measurement(SECTION, "latent RMS", "lower", seed, clusters),
        feature_distance(features(pretrained, imagined), goal),
        {
            name: feature_distance(features(pretrained, each), goal)
            for name, each in contenders.items()
        },
    )
    shown = spread(len(steps.actions), settings.shown)
    return rows, [_sample(steps, imagined, shuffled, truth, wrong, int(n)) for n in shown]


def _rows(
    name: str, measure: Measurement, own: np.ndarray, contenders: dict[str, np.ndarray]
) -> list[Row]:
    headline = ("last frame, decoded", "shuffled actions")
    return [
        measure.row(
            name,
            own,
            each,
            contender,
            headline=contender in headline,
        )
        for contender, each in contenders.items()
    ]


def _steps(source: ActionVideos, count: int, history_frames: int, shape: ImageShape) -> _Steps:
    """Moments spread evenly over the walks' steps that have enough frames before them."""
    moments = [
        walk[end - history_frames : end + 1]
        for walk in source.walks
        for end in range(history_frames, len(walk))
    ]
    if not moments:
        raise NothingToMeasure(
            f"evaluation.history_frames = {history_frames} is as long as every held-out walk of "
            f"source {source.name!r}; lower it, or give longer walks"
        )
    chosen, frames = [], []
    for moment in (moments[number] for number in spread(len(moments), count)):
        try:
            frames.append([fitted(source.picture(frame), shape) for frame in moment])
        except UserError:
            continue  # a broken picture, which the stream counts and reports
        chosen.append(moment)
    if not chosen:
        raise NothingToMeasure(f"no held-out picture of source {source.name!r} can be decoded")
    return _Steps(
        [each[:-1] for each in frames],
        [[source.action(a, b) for a, b in pairwise(moment)] for moment in chosen],
        np.stack([each[-2] for each in frames]),
        np.stack([each[-1] for each in frames]),
        np.array([source.place_of(moment[-1]) for moment in chosen], np.int64),
    )


def _others(count: int) -> np.ndarray:
    """For each item the one half the list away: another map, since items are ordered by map."""
    return np.roll(np.arange(count), max(1, count // 2))


def _imagine(
    pretrained: Pretrained, steps: _Steps, last_actions: list[str], settings: EvaluationSettings
) -> np.ndarray:
    """One frame for each moment; the noise depends on the moment alone, not on the action."""
    sampling = SamplingSettings(
        steps=settings.steps,
        guidance=settings.next_view_guidance,
        rows_at_once=settings.rows_per_batch,
    )
    views = [[Image(frame, target=False) for frame in frames] for frames in steps.history]
    actions = [[*own[:-1], last] for own, last in zip(steps.actions, last_actions, strict=True)]
    sampler = Sampler(pretrained)
    return np.stack(next_view(sampler, views, actions, settings=sampling, seed=settings.seed))


def _sample(
    steps: _Steps,
    imagined: np.ndarray,
    shuffled: np.ndarray,
    truth: np.ndarray,
    wrong: list[str],
    number: int,
) -> Sample:
    instead = wrong[number].removeprefix(PREFIX)
    panels = (
        Panel("last frame", steps.last[number]),
        Panel("imagined", imagined[number]),
        Panel("truth", steps.truth[number]),
        Panel("truth, decoded", truth[number]),
        Panel(f"imagined after {instead}", shuffled[number]),
    )
    return Sample(SECTION, (("", steps.actions[number][-1]),), panels)
