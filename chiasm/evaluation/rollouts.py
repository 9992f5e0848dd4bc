"""Rollouts: imagined views by how many frames ahead they lie, beside what needs no imagination.

A rollout begins with a few frames of a held-out walk and imagines what follows, one view after the
other, from its own views and the true actions; a model that was trained to look so far ahead also
imagines each view in one step. Every contender has passed the same tokenizer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from chiasm.actions import PREFIX
from chiasm.capabilities import ActionVideos
from chiasm.data.reading import UNREADABLE, ReadingLog
from chiasm.evaluation.evaluation import Findings, HorizonPoint, Panel, Sample
from chiasm.evaluation.material import NothingToMeasure, spread
from chiasm.evaluation.pictures import LIKENESS, Truth, where
from chiasm.evaluation.pieces import Pieces, cut_pieces
from chiasm.evaluation.rows import Measurement, Row
from chiasm.evaluation.settings import EvaluationSettings
from chiasm.inference.pictures import PICTURES_AT_ONCE, features, fitted, through_tokenizer
from chiasm.inference.pretrained import Pretrained
from chiasm.rgb import ImageShape
from chiasm.worldmodel.direct import DirectViews
from chiasm.worldmodel.rollout import Context, Rollouts

SECTION = "rollout"
LAST, SHUFFLED = "last context frame, decoded", "shuffled actions"
NEAREST = "nearest training frame, decoded"
DIRECT = ", in one step"
"""Follows the names of rows about views that were imagined at once from the context."""
_HEADLINE_FRAMES = 8
"""Headlines are about the farthest horizon up to here."""
_HEADLINE_MEASURE = "feature distance"


def measure_rollouts(
    pretrained: Pretrained,
    train: ActionVideos,
    held_out: ActionVideos,
    settings: EvaluationSettings,
    of: str = "",
    log: ReadingLog | None = None,
) -> Findings:
    """PSNR, SSIM and feature distance at every horizon that the held-out walks reach.

    All horizons are measured on the same pieces of walks. ``of`` follows the rows' names, where
    several sources are measured; ``log`` counts what is passed over.

    Raises:
        NothingToMeasure: no walk reaches any horizon, or the model was trained without actions.
    """
    if not pretrained.walks.views:
        raise NothingToMeasure("the model was trained without actions")
    horizons, skipped = _horizons(held_out, settings, of)
    shape = pretrained.vision_tokenizer.image_shape
    history = settings.history_frames
    pieces = cut_pieces(held_out, settings.rollouts, history, max(horizons), shape, log)
    truth = {ahead: pieces.frames[:, history - 1 + ahead] for ahead in horizons}
    alike = _nearest(pretrained, train, truth, settings.rollout_training_frames, shape)
    last = through_tokenizer(pretrained, pieces.frames[:, history - 1])
    judges = {ahead: Truth(pretrained, each) for ahead, each in truth.items()}
    true = others = pieces.scripts(history)
    own = _imagine(pretrained, pieces, true, horizons, settings)
    try:
        others = pieces.shuffled(history, settings.seed)
        wrong = _imagine(pretrained, pieces, others, horizons, settings)
    except NothingToMeasure as error:
        skipped[f"{SECTION}, {SHUFFLED}{of}"] = str(error)
    points: list[HorizonPoint] = []
    for way, imagined in own.items():
        for ahead, views in imagined.items():
            judge = judges[ahead]
            likeness = {"": judge.likeness(views), LAST: judge.likeness(last)}
            other_N = np.array([a[:ahead] != b[:ahead] for a, b in zip(others, true, strict=True)])
            if other_N.any():
                likeness[SHUFFLED] = where(other_N, judge.likeness(wrong[way][ahead]))
            likeness[NEAREST] = judge.likeness(alike[ahead])
            points += _points(likeness, ahead, list(imagined), of + way, settings, pieces.clusters)
    through = {ahead: through_tokenizer(pretrained, each) for ahead, each in truth.items()}
    rows = [point.row for point in points]
    rows += _ceilings(
        judges[horizons[0]].likeness(through[horizons[0]]),
        f"{_frames(horizons[0])}{of}",
        settings,
        pieces.clusters,
    )
    shown = spread(len(pieces), settings.shown).tolist()
    samples = [_sample(pieces, history, own, through, n) for n in shown]
    return Findings(rows, samples, points, skipped)


def _horizons(
    source: ActionVideos, settings: EvaluationSettings, of: str
) -> tuple[list[int], dict[str, str]]:
    """The horizons that half of the walks reach, and why the others are left out.

    Raises:
        NothingToMeasure: there are none.
    """
    history = settings.history_frames
    reach = int(np.median([len(walk) for walk in source.walks])) - history
    wanted = sorted(set(settings.rollout_horizons))
    why = (
        f"half of the held-out walks of source {source.name!r} have at most {reach + history} "
        f"frames, {max(reach, 0)} of them behind evaluation.history_frames = {history}; give "
        "longer walks"
    )
    near = [ahead for ahead in wanted if ahead <= reach]
    if not near:
        raise NothingToMeasure(why)
    return near, {f"{SECTION}, {_frames(h)}{of}": why for h in wanted if h > reach}


def _frames(ahead: int) -> str:
    return f"{ahead} frame{'s' if ahead > 1 else ''} ahead"


def _imagine(
    pretrained: Pretrained,
    pieces: Pieces,
    scripts: Sequence[Sequence[str]],
    horizons: Sequence[int],
    settings: EvaluationSettings,
) -> dict[str, dict[int, np.ndarray]]:
    """By the way it was imagined and the horizon: uint8 [N, H, W, 3].

    The noise depends on the piece and the step, not on the actions.
    """
    num_steps = len(scripts[0])
    history = pieces.frames.shape[1] - num_steps
    contexts = [
        Context(tuple(frames[:history]), tuple(actions[: history - 1]))
        for frames, actions in zip(pieces.frames, pieces.actions, strict=True)
    ]
    seeds = [settings.seed + number * num_steps for number in range(len(pieces))]
    rollouts = Rollouts.of(pretrained, settings.imagining)
    walks = np.stack(rollouts.imagine(contexts, scripts, seed=seeds))
    found = {"": {ahead: walks[:, ahead - 1] for ahead in horizons}}
    step_frames = pretrained.actions.read(scripts[0][0]).horizon_frames
    farthest = pretrained.walks.horizon_frames[1]
    if farthest > step_frames and pretrained.actions.style != "keys":
        near = [each for each in horizons if each * step_frames <= farthest]
        direct = DirectViews(pretrained, settings.imagining)
        found[DIRECT] = {
            ahead: direct.ends(contexts, [own[:ahead] for own in scripts], seed=seeds)
            for ahead in near
        }
    return found


def _nearest(
    pretrained: Pretrained,
    train: ActionVideos,
    truth: Mapping[int, np.ndarray],
    count: int,
    shape: ImageShape,
) -> dict[int, np.ndarray]:
    """For each true frame the training frame with the nearest features, decoded: [N, H, W, 3]."""
    wanted_MF = np.concatenate([features(pretrained, frames) for frames in truth.values()])
    best_M = np.full(len(wanted_MF), np.inf)
    found: list[np.ndarray] = [np.empty(0)] * len(wanted_MF)
    for pictures in _training_pictures(train, count, shape):
        have_KF = features(pretrained, pictures)
        apart_MK = (have_KF**2).sum(1) - 2 * wanted_MF @ have_KF.T
        apart_M = apart_MK.min(1)
        for number in np.flatnonzero(apart_M < best_M):
            found[number] = pictures[int(apart_MK[number].argmin())]
        best_M = np.minimum(best_M, apart_M)
    decoded = through_tokenizer(pretrained, np.stack(found))
    return dict(zip(truth, np.split(decoded, len(truth)), strict=True))


def _training_pictures(train: ActionVideos, count: int, shape: ImageShape) -> Iterator[np.ndarray]:
    """Some frames of training walks, evenly spread, in parts: uint8 [K, H, W, 3]."""
    frames = [frame for walk in train.walks for frame in walk]
    part: list[np.ndarray] = []
    for number in spread(len(frames), count).tolist():
        try:
            part.append(fitted(train.picture(frames[number]), shape))
        except UNREADABLE:
            continue  # a broken picture, which the stream counts and reports
        if len(part) == PICTURES_AT_ONCE:
            yield np.stack(part)
            part = []
    if part:
        yield np.stack(part)


def _points(
    likeness: Mapping[str, Mapping[str, np.ndarray]],
    ahead: int,
    horizons: Sequence[int],
    of: str,
    settings: EvaluationSettings,
    clusters: np.ndarray,
) -> Iterator[HorizonPoint]:
    """A row for each measure and contender; ``likeness`` has the imagined views under ``""``."""
    farthest = max((each for each in horizons if each <= _HEADLINE_FRAMES), default=0)
    for name, (unit, better) in LIKENESS.items():
        measure = Measurement(SECTION, unit, better, settings.seed, clusters)
        contenders = {each: found[name] for each, found in likeness.items() if each}
        headlines = (LAST, SHUFFLED) if (ahead, name) == (farthest, _HEADLINE_MEASURE) else ()
        title = f"{name} of the imagined view {_frames(ahead)}{of}"
        for row in measure.rows(title, likeness[""][name], contenders, headlines):
            yield HorizonPoint(of.removeprefix(", "), name, ahead, row)


def _ceilings(
    likeness: Mapping[str, np.ndarray],
    where: str,
    settings: EvaluationSettings,
    clusters: np.ndarray,
) -> Iterator[Row]:
    for name, (unit, better) in LIKENESS.items():
        measure = Measurement(SECTION, unit, better, settings.seed, clusters)
        yield measure.row(f"{name} of the truth {where}, decoded: the ceiling", likeness[name])


def _sample(
    pieces: Pieces,
    history: int,
    own: Mapping[str, Mapping[int, np.ndarray]],
    through: Mapping[int, np.ndarray],
    number: int,
) -> Sample:
    """The start, then at each horizon what was imagined and the truth."""
    panels = [Panel("start", pieces.frames[number, history - 1])]
    for ahead, truth in through.items():
        for way, imagined in own.items():
            if ahead in imagined:
                panels.append(Panel(f"imagined, {ahead} ahead{way}", imagined[ahead][number]))
        panels.append(Panel("truth, decoded", truth[number]))
    script = pieces.scripts(history)[number]
    words = " ".join(f"[{n}] {text.removeprefix(PREFIX)}" for n, text in enumerate(script, start=1))
    return Sample(SECTION, (("", words),), tuple(panels))
