"""Next view: the imagined frame against the last one, and true against shuffled actions."""

from __future__ import annotations

import numpy as np

from chiasm.actions import PREFIX
from chiasm.documents import ActionVideos, Image
from chiasm.evaluation.evaluation import Panel, Sample
from chiasm.evaluation.material import spread
from chiasm.evaluation.pictures import LIKENESS, Truth
from chiasm.evaluation.pieces import Pieces, cut_pieces, others
from chiasm.evaluation.rows import Measurement, Row
from chiasm.evaluation.settings import EvaluationSettings
from chiasm.inference.pictures import through_tokenizer
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.sampler import Sampler
from chiasm.inference.tasks import next_view

SECTION = "next view"
LAST, SHUFFLED = "last frame, decoded", "shuffled actions"


def measure_next_views(
    pretrained: Pretrained, source: ActionVideos, settings: EvaluationSettings, of: str = ""
) -> tuple[list[Row], list[Sample]]:
    """Rows on PSNR and feature distance, and the first imagined frames.

    ``of`` follows the rows' names, where several sources are measured.

    Raises:
        NothingToMeasure: no walk has a frame after ``settings.history_frames``.
    """
    shape = pretrained.vision_tokenizer.image_shape
    pieces = cut_pieces(source, settings.next_views, settings.history_frames, 1, shape)
    wrong = [pieces.actions[other][-1] for other in others(len(pieces))]
    imagined = _imagine(pretrained, pieces, [each[-1] for each in pieces.actions], settings)
    shuffled = _imagine(pretrained, pieces, wrong, settings)
    raw_last, truth = pieces.frames[:, -2], pieces.frames[:, -1]
    through = through_tokenizer(pretrained, truth)
    contenders = {
        LAST: through_tokenizer(pretrained, raw_last),
        SHUFFLED: shuffled,
        "raw last frame": raw_last,
    }
    judge = Truth(pretrained, truth)
    own = judge.likeness(imagined)
    beside = {name: judge.likeness(each) for name, each in contenders.items()}
    rows = []
    for name in ("PSNR", "feature distance"):
        measure = Measurement(SECTION, *LIKENESS[name], settings.seed, pieces.clusters)
        baselines = {contender: each[name] for contender, each in beside.items()}
        title = f"{name} of the imagined next view{of}"
        rows += measure.rows(title, own[name], baselines, (LAST, SHUFFLED))
        if name == "PSNR":
            ceiling = judge.likeness(through)[name]
            rows.append(measure.row(f"PSNR of the truth{of}, decoded: the ceiling", ceiling))
    shown = spread(len(pieces), settings.shown).tolist()
    return rows, [_sample(pieces, imagined, shuffled, through, wrong, n) for n in shown]


def _imagine(
    pretrained: Pretrained, pieces: Pieces, last_actions: list[str], settings: EvaluationSettings
) -> np.ndarray:
    """One frame for each piece; the noise depends on the piece alone, not on the action."""
    views = [[Image(frame, target=False) for frame in frames[:-1]] for frames in pieces.frames]
    actions = [[*own[:-1], last] for own, last in zip(pieces.actions, last_actions, strict=True)]
    sampler = Sampler(pretrained)
    return np.stack(
        next_view(sampler, views, actions, settings=settings.imagining, seed=settings.seed)
    )


def _sample(
    pieces: Pieces,
    imagined: np.ndarray,
    shuffled: np.ndarray,
    truth: np.ndarray,
    wrong: list[str],
    number: int,
) -> Sample:
    instead = wrong[number].removeprefix(PREFIX)
    panels = (
        Panel("last frame", pieces.frames[number, -2]),
        Panel("imagined", imagined[number]),
        Panel("truth", pieces.frames[number, -1]),
        Panel("truth, decoded", truth[number]),
        Panel(f"imagined after {instead}", shuffled[number]),
    )
    return Sample(SECTION, (("", pieces.actions[number][-1]),), panels)
