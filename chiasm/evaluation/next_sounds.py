"""Next sound: what is heard after an action, made behind the imagined view of the same walk.

Shape suffixes: N pieces, A channels of a sound, S samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from chiasm.capabilities import ActionVideos, SoundingVideos
from chiasm.documents import Image, Sound, Span, Text
from chiasm.evaluation.evaluation import Findings, Panel, Sample
from chiasm.evaluation.listening import DISTANCE, TrueSounds
from chiasm.evaluation.material import NothingToMeasure, spread
from chiasm.evaluation.measure import WalkMeasure
from chiasm.evaluation.next_views import LAST, SHUFFLED
from chiasm.evaluation.pictures import LIKENESS, psnr
from chiasm.evaluation.pieces import Pieces, cut_pieces
from chiasm.evaluation.rows import Row
from chiasm.evaluation.shared import WalkSettings

if TYPE_CHECKING:
    from chiasm.evaluation.run import Run

LAST_SOUND = "last sound, decoded"


class NextSoundSettings(WalkSettings):
    """How many next sounds are made."""

    next_sounds: int = Field(200, ge=2)
    """Held-out next frames that are imagined and heard with the true and with shuffled actions."""


class NextSounds(WalkMeasure[NextSoundSettings]):
    """Log-mel distance of the sound after an action, and PSNR of the view that it is heard with."""

    section = "next sound"
    settings = NextSoundSettings
    baselines = (
        "On walks whose frames sound, the next view is imagined after an action, and then the "
        "sound behind it; each is compared with the truth. The last sound and the last frame, "
        "decoded, are those before the action, through the tokenizers. Shuffled actions: the same "
        "frames, sounds and noise with another action, of another walk or map. The distance of "
        "sounds is the root mean square difference of log-mel spectra, in decibels."
    )
    heading = "What it hears next"
    lead = "The next view and the next sound after an action, beside the truth."

    def applies(self, run: Run[NextSoundSettings]) -> str:
        """Returns nothing: a run without such walks is not listed as one that lacks them."""
        return ""

    def sources(self, run: Run[NextSoundSettings]) -> Mapping[str, ActionVideos]:
        """Returns the held-out sources whose walks sound, where the model makes both."""
        from chiasm.inference.sounds import sound_shape

        both = run.pretrained.draws and sound_shape(run.pretrained) is not None
        return run.material.sounding_videos() if both else {}

    def measure_walks(
        self, run: Run[NextSoundSettings], train: ActionVideos, held_out: ActionVideos, of: str = ""
    ) -> Findings:
        """Returns the findings on one source.

        Raises:
            NothingToMeasure: no walk has a frame after ``history_frames``.
        """
        assert isinstance(held_out, SoundingVideos)
        pieces = cut_pieces(run, held_out, run.settings.next_sounds, 1)
        heard = [[held_out.sound(frame) for frame in frames] for frames in pieces.numbers]
        truth = TrueSounds(run, [sounds[-1] for sounds in heard])
        before_NAS = truth.read([sounds[-2] for sounds in heard])
        true = pieces.scripts(run.settings.history_frames)
        views, made_NAS = _imagine(run, pieces, heard, true, truth)
        frames, last_frames = pieces.frames[:, -1], run.through_tokenizer(pieces.frames[:, -2])
        distances = {
            LAST_SOUND: truth.distance(truth.decoded(before_NAS)),
            "raw last sound": truth.distance(before_NAS),
        }
        likeness, skipped = {LAST: psnr(last_frames, frames)}, {}
        try:
            wrong = pieces.shuffled(run.settings.history_frames, run.settings.seed)
            other_views, other_NAS = _imagine(run, pieces, heard, wrong, truth)
            other_N = np.array([other != own for other, own in zip(wrong, true, strict=True)])
            distances[SHUFFLED] = np.where(other_N, truth.distance(other_NAS), np.nan)
            likeness[SHUFFLED] = np.where(other_N, psnr(other_views, frames), np.nan)
        except NothingToMeasure as error:
            skipped[f"{self.section}, {SHUFFLED}{of}"] = str(error)
        rows = [
            *_sound_rows(run, truth, made_NAS, distances, pieces.clusters, of),
            *run.measurement(self.section, *LIKENESS["PSNR"], pieces.clusters).rows(
                f"PSNR of the next view that it is heard with{of}",
                psnr(views, frames),
                likeness,
                (LAST, SHUFFLED),
            ),
        ]
        shown = spread(len(pieces), run.settings.shown).tolist()
        samples = [_sample(pieces, truth, before_NAS, views, made_NAS, n) for n in shown]
        return Findings(rows, samples, skipped=skipped)


def _sound_rows(
    run: Run[NextSoundSettings],
    truth: TrueSounds,
    made_NAS: np.ndarray,
    distances: Mapping[str, np.ndarray],
    clusters: np.ndarray,
    of: str,
) -> list[Row]:
    """Returns the distance of sounds that were made, beside baselines, and the ceiling."""
    measure = run.measurement(NextSounds.section, "dB", "lower", clusters)
    title, headlines = f"{DISTANCE} of the next sound{of}", (LAST_SOUND, SHUFFLED)
    rows = measure.rows(title, truth.distance(made_NAS), distances, headlines)
    title = f"{DISTANCE} of the true next sound{of}, decoded: the ceiling"
    return [*rows, measure.row(title, truth.distance(truth.through_tokenizer))]


def _sample(
    pieces: Pieces,
    truth: TrueSounds,
    before_NAS: np.ndarray,
    views: np.ndarray,
    made_NAS: np.ndarray,
    number: int,
) -> Sample:
    panels = (
        Panel("last frame", pieces.frames[number, -2]),
        truth.panel("last sound", before_NAS[number]),
        Panel("imagined", views[number]),
        truth.panel("imagined", made_NAS[number]),
        Panel("truth", pieces.frames[number, -1]),
        truth.panel("truth", truth.samples_NAT[number]),
    )
    return Sample(NextSounds.section, (("", pieces.actions[number][-1]),), panels)


def _imagine(
    run: Run[NextSoundSettings],
    pieces: Pieces,
    heard: Sequence[Sequence[Sound]],
    scripts: Sequence[Sequence[str]],
    truth: TrueSounds,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the view and then the sound after each piece's last action; the noise depends on the
    piece alone.

    uint8 [N, H, W, 3] and, as the tokenizer reads them, float32 [N, A, S].
    """
    from chiasm.batch.streams import IMAGE
    from chiasm.inference.tasks import generate_items

    sampling, seed = run.settings.imagining, run.settings.seed
    prompts = [
        _prompt(frames[:-1], sounds[:-1], [*own[:-1], last])
        for frames, sounds, own, [last] in zip(
            pieces.frames, heard, pieces.actions, scripts, strict=True
        )
    ]
    views = generate_items(run.sampler, prompts, IMAGE, settings=sampling, seed=seed)
    seen = [
        (*prompt, Image(view.data, target=True))
        for prompt, view in zip(prompts, views, strict=True)
    ]
    # Noise of its own: that of the view has the same seed and begins alike.
    stream, later = heard[0][0].stream, seed + len(prompts)
    sounds = generate_items(run.sampler, seen, stream, settings=sampling, seed=later)
    pictures = np.stack([view.pixels() for view in views if isinstance(view, Image)])
    return pictures, truth.read(sounds)


def _prompt(
    frames: np.ndarray, sounds: Sequence[Sound], actions: Sequence[str]
) -> tuple[Span, ...]:
    """Returns frames, what is heard in each, and the action behind it, in the parts that they play
    in training: the first is given, those after it were imagined.
    """
    steps = zip(frames, sounds, actions, strict=True)
    return tuple(
        span
        for number, (frame, sound, action) in enumerate(steps)
        for span in (
            Image(frame, target=number > 0),
            Sound(sound.data, target=number > 0, stream=sound.stream),
            Text(action),
        )
    )
