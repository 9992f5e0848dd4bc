"""Next view: the imagined frame against the last one, and true against shuffled actions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chiasm.actions import PREFIX
from chiasm.capabilities import ActionVideos
from chiasm.data.reading import ReadingLog
from chiasm.documents import Image
from chiasm.evaluation.evaluation import Findings, Panel, Sample
from chiasm.evaluation.material import NothingToMeasure, spread
from chiasm.evaluation.pictures import LIKENESS, Truth, where
from chiasm.evaluation.pieces import Pieces, cut_pieces
from chiasm.evaluation.rows import Measurement, Row
from chiasm.evaluation.settings import EvaluationSettings
from chiasm.inference.pictures import through_tokenizer
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.sampler import Sampler
from chiasm.inference.tasks import next_view

SECTION = "next view"
LAST, SHUFFLED = "last frame, decoded", "shuffled actions"


def measure_next_views(
    pretrained: Pretrained,
    source: ActionVideos,
    settings: EvaluationSettings,
    of: str = "",
    log: ReadingLog | None = None,
) -> Findings:
    """Rows on PSNR and feature distance, and the first imagined frames.

    ``of`` follows the rows' names, where several sources are measured; ``log`` counts what is
    passed over.

    Raises:
        NothingToMeasure: no walk has a frame after ``settings.history_frames``.
    """
    shape = pretrained.vision_tokenizer.image_shape
    pieces = cut_pieces(source, settings.next_views, settings.history_frames, 1, shape, log)
    true = pieces.scripts(settings.history_frames)
    raw_last, truth = pieces.frames[:, -2], pieces.frames[:, -1]
    through = through_tokenizer(pretrained, truth)
    judge = Truth(pretrained, truth)
    imagined = _imagine(pretrained, pieces, true, settings)
    own = judge.likeness(imagined)
    contenders = {LAST: through_tokenizer(pretrained, raw_last), "raw last frame": raw_last}
    beside = {name: judge.likeness(each) for name, each in contenders.items()}
    others: list[tuple[str, np.ndarray] | None] = [None] * len(pieces)
    skipped = {}
    try:
        wrong = pieces.shuffled(settings.history_frames, settings.seed)
        shuffled = _imagine(pretrained, pieces, wrong, settings)
        other_N = np.array([other != own for other, own in zip(wrong, true, strict=True)])
        beside[SHUFFLED] = where(other_N, judge.likeness(shuffled))
        others = [
            (action, view) if is_other else None
            for [action], view, is_other in zip(wrong, shuffled, other_N, strict=True)
        ]
    except NothingToMeasure as error:
        skipped[f"{SECTION}, {SHUFFLED}{of}"] = str(error)
    rows: list[Row] = []
    for name in ("PSNR", "feature distance"):
        measure = Measurement(SECTION, *LIKENESS[name], settings.seed, pieces.clusters)
        baselines = {contender: each[name] for contender, each in beside.items()}
        title = f"{name} of the imagined next view{of}"
        rows += measure.rows(title, own[name], baselines, (LAST, SHUFFLED))
        if name == "PSNR":
            ceiling = judge.likeness(through)[name]
            rows.append(measure.row(f"PSNR of the truth{of}, decoded: the ceiling", ceiling))
    shown = spread(len(pieces), settings.shown).tolist()
    samples = [_sample(pieces, imagined, through, others, n) for n in shown]
    return Findings(rows, samples, skipped=skipped)


def _imagine(
    pretrained: Pretrained,
    pieces: Pieces,
    scripts: Sequence[Sequence[str]],
    settings: EvaluationSettings,
) -> np.ndarray:
    """One frame for each piece; the noise depends on the piece alone, not on the action."""
    views = [[Image(frame, target=False) for frame in frames[:-1]] for frames in pieces.frames]
    actions = [[*own[:-1], last] for own, [last] in zip(pieces.actions, scripts, strict=True)]
    sampler = Sampler(pretrained)
    return np.stack(
        next_view(sampler, views, actions, settings=settings.imagining, seed=settings.seed)
    )


def _sample(
    pieces: Pieces,
    imagined: np.ndarray,
    truth: np.ndarray,
    others: Sequence[tuple[str, np.ndarray] | None],
    number: int,
) -> Sample:
    panels = [
        Panel("last frame", pieces.frames[number, -2]),
        Panel("imagined", imagined[number]),
        Panel("truth", pieces.frames[number, -1]),
        Panel("truth, decoded", truth[number]),
    ]
    if (other := others[number]) is not None:
        action, view = other
        panels.append(Panel(f"imagined after {action.removeprefix(PREFIX)}", view))
    return Sample(SECTION, (("", pieces.actions[number][-1]),), tuple(panels))
