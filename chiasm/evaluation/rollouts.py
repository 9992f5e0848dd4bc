"""Rollouts: likeness of imagined views by the number of frames ahead, beside baselines.

A rollout begins with a few frames of a held-out walk and imagines what follows, one view after the
other, from its own views and the true actions; a model that was trained to look so far ahead also
imagines each view in one step. All images have passed the same tokenizer.

Shape suffixes: N pieces, M true frames (N at each horizon), P training frames of a part, F
features.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from chiasm.actions import PREFIX, ActionFormat
from chiasm.capabilities import ActionVideos
from chiasm.data.reading import UNREADABLE
from chiasm.errors import UserError
from chiasm.evaluation.evaluation import Animation, Findings, HorizonPoint, Sample, Strip
from chiasm.evaluation.horizons import ViewsAhead, frames_ahead
from chiasm.evaluation.material import NothingToMeasure, spread
from chiasm.evaluation.measure import WalkMeasure
from chiasm.evaluation.pictures import Truth, headline_measures, where
from chiasm.evaluation.pieces import Pieces, cut_pieces
from chiasm.evaluation.shared import MEAN, SAMPLED, HorizonSettings
from chiasm.intervals import Verdict

if TYPE_CHECKING:
    from chiasm.evaluation.run import Run

LAST, SHUFFLED = "last context frame, decoded", "shuffled actions"
NEAREST = "nearest training frame, decoded"
DIRECT = ", in one step"
"""Suffix of the names of rows about views that were imagined at once from the context."""
MEASURE = "feature distance"
"""What says how far ahead samples are good: small differences of pixels favor what is blurred."""
TRAINING_FRAMES = 4000
"""Training frames, evenly spread, among which the one most like the truth is looked for."""


def frames_beaten(rows: Sequence[Mapping[str, Any]]) -> int | None:
    """Returns up to how many frames ahead samples of views beat the last context frame.

    Args:
        rows: rows of a report.

    Returns:
        0 where they do not even at the nearest horizon; None where no row is of samples.
    """
    title = re.compile(rf"{MEASURE} of the imagined view (\d+) ")
    of_walks = [row for row in rows if row["section"] == ImaginedWalks.section]
    told = {row["name"]: row["verdict"] for row in of_walks if row["baseline_name"] == LAST}
    if any(name.endswith(MEAN) for name in told):
        samples = [name for name in told if not name.endswith((MEAN, DIRECT))]
    else:  # what has no suffix is the mean
        samples = [name for name in told if name.endswith(SAMPLED)]
    beats = [
        (int(match[1]), told[name] == Verdict.BEATS)
        for name in samples
        if (match := title.match(name))
    ]
    lost = min((ahead for ahead, won in beats if not won), default=math.inf)
    return max((ahead for ahead, _ in beats if ahead < lost), default=0) if beats else None


class RolloutSettings(HorizonSettings):
    """How many walks are imagined."""

    rollouts: int = Field(32, ge=0)
    """Pieces of held-out walks that are imagined from their beginning, one view after the other,
    with the true actions and with another walk's; 0 leaves rollouts out."""


class ImaginedWalks(WalkMeasure[RolloutSettings]):
    """PSNR, SSIM, feature and perceptual distance at every horizon that the held-out walks reach,
    of the mean of what may be seen and of samples.

    All horizons are measured on the same pieces of walks.
    """

    section = "rollout"
    settings = RolloutSettings
    baselines = (
        "A rollout begins with evaluation.history_frames frames of a held-out walk; each further "
        "view is imagined from those before it and the true action. The last context frame stays "
        "as it was. Shuffled actions: the same frames and the same noise with other actions, all "
        "of one other walk or map. The nearest training frame is the one among "
        f"{TRAINING_FRAMES} whose features are nearest to the true frame, which a model that "
        "only remembers could at best show: it is chosen by looking at the truth. All have passed "
        "the same tokenizer."
    )
    heading = "How far ahead it imagines"
    lead = (
        "One view after the other, each from the imagined ones before it and the next action, "
        "below the truth and what the tokenizer alone leaves of it."
    )
    overview = "Imagined step by step"

    def applies(self, run: Run[RolloutSettings]) -> str:
        """Returns the reason why it cannot be measured; empty where it can."""
        return super().applies(run) if run.settings.rollouts else "evaluation.rollouts = 0"

    def measure_walks(
        self, run: Run[RolloutSettings], train: ActionVideos, held_out: ActionVideos, of: str = ""
    ) -> Findings:
        """Returns the findings on one source.

        Raises:
            NothingToMeasure: no walk reaches any horizon, or the model was trained without actions.
        """
        if not run.pretrained.walks.views:
            raise NothingToMeasure("the model was trained without actions")
        horizons, skipped = _horizons(held_out, run.settings, of)
        history = run.settings.history_frames
        pieces = cut_pieces(run, held_out, run.settings.rollouts, max(horizons))
        truth = {ahead: pieces.frames[:, history - 1 + ahead] for ahead in horizons}
        alike = _nearest(run, train, truth)
        last = run.through_tokenizer(pieces.frames[:, history - 1])
        judges = {ahead: Truth(run, each) for ahead, each in truth.items()}
        true = others = pieces.scripts(history)
        try:
            others = pieces.shuffled(history, run.settings.seed)
        except NothingToMeasure as error:
            skipped[f"{self.section}, {SHUFFLED}{of}"] = str(error)
        still = {ahead: judge.likeness(last) for ahead, judge in judges.items()}
        like = {ahead: judge.likeness(alike[ahead]) for ahead, judge in judges.items()}
        views_ahead = ViewsAhead(run, self.section, pieces.clusters, (LAST, SHUFFLED))
        points: list[HorizonPoint] = []
        own = _imagine(run, pieces, true, horizons)
        wrong = own if others is true else _imagine(run, pieces, others, horizons)
        for way, imagined in own.items():
            told_first = headline_measures(run.settings, imagined.solver_steps)
            reached = [ahead for ahead in horizons if ahead in imagined.views]
            for ahead in reached:
                judge, views = judges[ahead], imagined.views[ahead]
                likeness = {"": judge.likeness(views), LAST: still[ahead]}
                pairs = zip(others, true, strict=True)
                other_N = np.array([a[:ahead] != b[:ahead] for a, b in pairs])
                if other_N.any():
                    found = judge.likeness(wrong[way].views[ahead])
                    likeness[SHUFFLED] = where(other_N, found)
                likeness[NEAREST] = like[ahead]
                points += views_ahead.points(likeness, ahead, reached, of + way, told_first)
        nearest = horizons[0]
        ceiling = judges[nearest].likeness(run.through_tokenizer(truth[nearest]))
        rows = [point.row for point in points]
        rows += views_ahead.ceilings(ceiling, nearest, of)
        samples = [
            _sample(run, pieces, own, n) for n in spread(len(pieces), run.settings.shown).tolist()
        ]
        return Findings(rows, samples, points, skipped)


def _horizons(
    source: ActionVideos, settings: RolloutSettings, of: str
) -> tuple[list[int], dict[str, str]]:
    """Returns the horizons that half of the walks reach, and the reasons why others are left out.

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
    far = [frames_ahead(ahead) for ahead in wanted if ahead > reach]
    return near, {f"{ImaginedWalks.section}, {each}{of}": why for each in far}


@dataclass(frozen=True, eq=False)
class _Imagined:
    """Views of N pieces, imagined in one way."""

    views: dict[int, np.ndarray]
    """Frames ahead → uint8 [N, H, W, 3]: all of them, or some horizons."""
    solver_steps: int


def _imagine(
    run: Run[RolloutSettings],
    pieces: Pieces,
    scripts: Sequence[Sequence[str]],
    horizons: Sequence[int],
) -> dict[str, _Imagined]:
    """Returns the imagined views by way of imagining.

    The noise depends on the piece and the step, not on the actions.
    """
    from chiasm.worldmodel.direct import DirectViews
    from chiasm.worldmodel.rollout import Context, Rollouts

    pretrained, own = run.pretrained, run.settings.imagining
    num_steps = len(scripts[0])
    history = pieces.frames.shape[1] - num_steps
    contexts = [
        Context(tuple(frames[:history]), tuple(actions[: history - 1]))
        for frames, actions in zip(pieces.frames, pieces.actions, strict=True)
    ]
    seeds = [run.settings.seed + number * num_steps for number in range(len(pieces))]
    found = {}
    for way, sampling in run.settings.imagining_both.items():
        walks = np.stack(Rollouts.of(pretrained, sampling).imagine(contexts, scripts, seed=seeds))
        views = {ahead: walks[:, ahead - 1] for ahead in range(1, num_steps + 1)}
        found[way] = _Imagined(views, sampling.steps)
    farthest = pretrained.walks.horizon_frames[1]
    step_frames = _pose_frames(pretrained.actions, scripts[0][0])
    # Only a model with horizons sees more than one step ahead, and only poses can be summed.
    if step_frames is not None and farthest > step_frames:
        near = [each for each in horizons if each * step_frames <= farthest]
        direct = DirectViews(pretrained, own)
        views = {
            ahead: direct.ends(contexts, [script[:ahead] for script in scripts], seed=seeds)
            for ahead in near
        }
        found[DIRECT] = _Imagined(views, own.steps)
    return found


def _pose_frames(actions: ActionFormat, text: str) -> int | None:
    """Returns how many frames later a step leads; None of one that is no pose."""
    if actions.style == "keys":
        return None
    try:
        return actions.read(text).horizon_frames
    except UserError:
        return None


def _nearest(
    run: Run[RolloutSettings], train: ActionVideos, truth: Mapping[int, np.ndarray]
) -> dict[int, np.ndarray]:
    """Returns, for each true frame, the training frame with the nearest features, decoded.

    The arrays of each horizon are uint8 [N, H, W, 3].
    """
    wanted_MF = np.concatenate([run.features(frames) for frames in truth.values()])
    best_M = np.full(len(wanted_MF), np.inf)
    found: list[np.ndarray] = [np.empty(0)] * len(wanted_MF)
    for pictures in _training_pictures(run, train):
        have_PF = run.features(pictures)
        # |a - b|² without |b|², which is the same for all training frames: one matrix product per
        # part, and no array [M, P, F].
        apart_MP = (have_PF**2).sum(1) - 2 * wanted_MF @ have_PF.T
        apart_M = apart_MP.min(1)
        for number in np.flatnonzero(apart_M < best_M):
            found[number] = pictures[int(apart_MP[number].argmin())]
        best_M = np.minimum(best_M, apart_M)
    decoded = run.through_tokenizer(np.stack(found))
    return dict(zip(truth, np.split(decoded, len(truth)), strict=True))


def _training_pictures(run: Run[RolloutSettings], train: ActionVideos) -> Iterator[np.ndarray]:
    """Yields evenly spread frames of training walks, in parts: uint8 [P, H, W, 3]."""
    from chiasm.inference.pictures import PICTURES_AT_ONCE

    frames = [frame for walk in train.walks for frame in walk]
    part: list[np.ndarray] = []
    for number in spread(len(frames), TRAINING_FRAMES).tolist():
        try:
            part.append(run.fitted(train.picture(frames[number])))
        except UNREADABLE:
            continue  # a broken picture, which the stream counts and reports
        if len(part) == PICTURES_AT_ONCE:
            yield np.stack(part)
            part = []
    if part:
        yield np.stack(part)


def _sample(
    run: Run[RolloutSettings], pieces: Pieces, own: Mapping[str, _Imagined], number: int
) -> Sample:
    """Returns a walk as it moves and as rows of frames: true, decoded, and imagined in each way."""
    true, history = pieces.frames[number], run.settings.history_frames
    decoded = run.through_tokenizer(true)
    moving = {"truth": true, "truth, decoded": decoded}
    strips = [
        Strip.of(f"truth; the first {history} given", true),
        Strip.of("truth, decoded by the tokenizer", decoded),
    ]
    for way, imagined in own.items():
        ahead = range(1, len(true) - history + 1)
        views = [imagined.views[n][number] if n in imagined.views else None for n in ahead]
        strips.append(Strip.of(f"imagined{way}", [*[None] * history, *views]))
        there = [view for view in views if view is not None]
        if len(there) == len(ahead):
            moving[f"imagined{way}"] = np.stack([*true[:history], *there])
    script = pieces.scripts(history)[number]
    words = " ".join(f"[{n}] {text.removeprefix(PREFIX)}" for n, text in enumerate(script, start=1))
    walk = Animation.of("the walk, step by step", moving)
    return Sample(ImaginedWalks.section, (("", words),), (walk, *strips))
