"""Next view: the imagined frame against the last one, and true against shuffled actions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from chiasm.actions import PREFIX
from chiasm.capabilities import ActionVideos
from chiasm.documents import Image
from chiasm.evaluation.evaluation import Findings, Panel, Sample
from chiasm.evaluation.material import NothingToMeasure, spread
from chiasm.evaluation.measure import WalkMeasure
from chiasm.evaluation.pictures import LIKENESS, Truth, headline_measures, where
from chiasm.evaluation.pieces import Pieces, cut_pieces
from chiasm.evaluation.rows import Row
from chiasm.evaluation.shared import WalkSettings

if TYPE_CHECKING:
    from chiasm.evaluation.run import Run
    from chiasm.inference.request import SamplingSettings

LAST, SHUFFLED = "last frame, decoded", "shuffled actions"
_MEASURES = ("PSNR", "feature distance", "perceptual distance")


class NextViewSettings(WalkSettings):
    """How many next views are imagined."""

    next_views: int = Field(200, ge=2)
    """Held-out next frames that are imagined with the true and with shuffled actions."""


class NextViews(WalkMeasure[NextViewSettings]):
    """PSNR, feature and perceptual distance of imagined next frames, means and samples, and the
    first of these frames."""

    section = "next view"
    settings = NextViewSettings
    baselines = (
        "Imagined frames have passed the tokenizer's decoder and lost detail there, so the like "
        "baseline is the last frame decoded through the same tokenizer; the raw last frame is "
        "shown too. Shuffled actions: the same frames and the same noise with another action, of "
        "another walk or map. Feature distance is the root mean square between standardized "
        "latents."
    )
    heading = "What it imagines"
    lead = "The next view after an action, beside the truth and the truth through the tokenizer."
    overview = "Imagined after an action"

    def measure_walks(
        self, run: Run[NextViewSettings], train: ActionVideos, held_out: ActionVideos, of: str = ""
    ) -> Findings:
        """Returns the findings on one source.

        Raises:
            NothingToMeasure: no walk has a frame after ``history_frames``.
        """
        history = run.settings.history_frames
        pieces = cut_pieces(run, held_out, run.settings.next_views, 1)
        true = pieces.scripts(history)
        raw_last, truth = pieces.frames[:, -2], pieces.frames[:, -1]
        through, judge = run.through_tokenizer(truth), Truth(run, truth)
        contenders = {LAST: run.through_tokenizer(raw_last), "raw last frame": raw_last}
        still = {name: judge.likeness(each, _MEASURES) for name, each in contenders.items()}
        wrong, other_N = true, np.full(len(pieces), False)
        skipped: dict[str, str] = {}
        try:
            wrong = pieces.shuffled(history, run.settings.seed)
            other_N = np.array([other != own for other, own in zip(wrong, true, strict=True)])
        except NothingToMeasure as error:
            skipped[f"{self.section}, {SHUFFLED}{of}"] = str(error)
        rows: list[Row] = []
        imagined: dict[str, np.ndarray] = {}
        shuffled: dict[str, np.ndarray] = {}
        for way, sampling in run.settings.imagining_both.items():
            imagined[way] = imagine_next(run, pieces, true, sampling)
            own, beside = judge.likeness(imagined[way], _MEASURES), dict(still)
            if other_N.any():
                shuffled[way] = imagine_next(run, pieces, wrong, sampling)
                beside[SHUFFLED] = where(other_N, judge.likeness(shuffled[way], _MEASURES))
            told_first = headline_measures(run.settings, sampling.steps)
            for name in _MEASURES:
                measure = run.measurement(self.section, *LIKENESS[name], pieces.clusters)
                baselines = {contender: each[name] for contender, each in beside.items()}
                title = f"{name} of the imagined next view{of}{way}"
                headlines = (LAST, SHUFFLED) if name in told_first else ()
                rows += measure.rows(title, own[name], baselines, headlines)
        for name, values in judge.likeness(through, _MEASURES).items():
            measure = run.measurement(self.section, *LIKENESS[name], pieces.clusters)
            rows.append(measure.row(f"{name} of the truth{of}, decoded: the ceiling", values))
        others = [
            (action, shuffled[""][n]) if is_other else None
            for n, ([action], is_other) in enumerate(zip(wrong, other_N, strict=True))
        ]
        shown = spread(len(pieces), run.settings.shown).tolist()
        samples = [_sample(pieces, imagined, through, others, n) for n in shown]
        return Findings(rows, samples, skipped=skipped)


def imagine_next(
    run: Run[NextViewSettings],
    pieces: Pieces,
    scripts: Sequence[Sequence[str]],
    sampling: SamplingSettings,
) -> np.ndarray:
    """Returns one frame per piece; the noise depends on the piece alone, not on the action."""
    from chiasm.inference.tasks import next_view

    views = [[Image(frame, target=False) for frame in frames[:-1]] for frames in pieces.frames]
    actions = [[*own[:-1], last] for own, [last] in zip(pieces.actions, scripts, strict=True)]
    seed = run.settings.seed
    return np.stack(next_view(run.sampler, views, actions, settings=sampling, seed=seed))


def _sample(
    pieces: Pieces,
    imagined: Mapping[str, np.ndarray],
    truth: np.ndarray,
    others: Sequence[tuple[str, np.ndarray] | None],
    number: int,
) -> Sample:
    panels = [
        Panel("last frame", pieces.frames[number, -2]),
        Panel("imagined", imagined[""][number]),
        Panel("truth, decoded", truth[number]),
        Panel("truth", pieces.frames[number, -1]),
    ]
    panels += [Panel(f"imagined{way}", views[number]) for way, views in imagined.items() if way]
    if (other := others[number]) is not None:
        action, view = other
        panels.append(Panel(f"imagined after {action.removeprefix(PREFIX)}", view))
    return Sample(NextViews.section, (("", pieces.actions[number][-1]),), tuple(panels))
