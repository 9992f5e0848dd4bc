"""Next sound: what is heard after an action, made behind the imagined view of the same walk.

Shape suffixes: N pieces, A channels of a sound, S samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from chiasm.capabilities import ActionVideos, SoundingVideos
from chiasm.documents import Continuous, Image, Sound, Span, Text
from chiasm.evaluation.evaluation import Findings, Panel, Sample
from chiasm.evaluation.listening import DISTANCE, TrueSounds
from chiasm.evaluation.material import NothingToMeasure, spread
from chiasm.evaluation.measure import WalkMeasure
from chiasm.evaluation.next_views import LAST, SHUFFLED
from chiasm.evaluation.pictures import LIKENESS, psnr
from chiasm.evaluation.pieces import Pieces, cut_pieces
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
        history = run.settings.history_frames
        pieces = cut_pieces(run, held_out, run.settings.next_sounds, 1)
        heard = [[held_out.sound(frame) for frame in frames] for frames in pieces.numbers]
        truth = TrueSounds(run, [sounds[-1] for sounds in heard])
        before_NAS = truth.read([sounds[-2] for sounds in heard])
        frames, last_frames = pieces.frames[:, -1], run.through_tokenizer(pieces.frames[:, -2])
        true = pieces.scripts(history)
        views, sounds = _imagine(run, pieces, heard, true)
        made_NAS = truth.read(sounds)
        distances = {
            LAST_SOUND: truth.distance(truth.decoded(before_NAS)),
            "raw last sound": truth.distance(before_NAS),
        }
        likeness, skipped = {LAST: psnr(last_frames, frames)}, {}
        try:
            wrong = pieces.shuffled(history, run.settings.seed)
            other_views, other_sounds = _imagine(run, pieces, heard, wrong)
            other_N = np.array([other != own for other, own in zip(wrong, true, strict=True)])
            other_distance = truth.distance(truth.read(other_sounds))
            distances[SHUFFLED] = np.where(other_N, other_distance, np.nan)
            likeness[SHUFFLED] = np.where(other_N, psnr(other_views, frames), np.nan)
        except NothingToMeasure as error:
            skipped[f"{self.section}, {SHUFFLED}{of}"] = str(error)
        measure = run.measurement(self.section, "dB", "lower", pieces.clusters)
        headlines = (LAST_SOUND, SHUFFLED)
        title = f"{DISTANCE} of the next sound{of}"
        rows = measure.rows(title, truth.distance(made_NAS), distances, headlines)
        ceiling = truth.distance(truth.through_tokenizer)
        title = f"{DISTANCE} of the true next sound{of}, decoded: the ceiling"
        rows.append(measure.row(title, ceiling))
        measure = run.measurement(self.section, *LIKENESS["PSNR"], pieces.clusters)
        title = f"PSNR of the next view that it is heard with{of}"
        rows += measure.rows(title, psnr(views, frames), likeness, (LAST, SHUFFLED))
        samples = [
            Sample(
                self.section,
                (("", pieces.actions[n][-1]),),
                (
                    Panel("last frame", pieces.frames[n, -2]),
                    truth.panel("last sound", before_NAS[n]),
                    Panel("imagined", views[n]),
                    truth.panel("imagined", made_NAS[n]),
                    Panel("truth", frames[n]),
                    truth.panel("truth", truth.samples_NAT[n]),
                ),
            )
            for n in spread(len(pieces), run.settings.shown).tolist()
        ]
        return Findings(rows, samples, skipped=skipped)


def _imagine(
    run: Run[NextSoundSettings],
    pieces: Pieces,
    heard: Sequence[Sequence[Sound]],
    scripts: Sequence[Sequence[str]],
) -> tuple[np.ndarray, list[Continuous]]:
    """Returns the view and then the sound after each piece's last action; the noise depends on the
    piece alone.
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
    return np.stack([view.pixels() for view in views if isinstance(view, Image)]), sounds


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
