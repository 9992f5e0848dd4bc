"""``chiasm sound train``: a vocoder of log-mel spectrograms into a folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import chiasm.sound.parts  # noqa: F401  (what a finished folder may name)
from chiasm.data.audio import AudioTextSettings
from chiasm.data.source import Opening
from chiasm.documents import Split
from chiasm.errors import UserError, settings_of
from chiasm.loop.metrics import Values
from chiasm.ranks import ALONE
from chiasm.sound.learning.figures import SOUNDS_AT_ONCE, held_out_figures
from chiasm.sound.learning.reconstruction import VocoderFit, VocoderStage, refuse_few
from chiasm.sound.learning.settings import SoundTrainingSettings
from chiasm.sound.learning.sounds import Sounds, sounds_of_source
from chiasm.sound.mel import LogMel, mel_tokenizer
from chiasm.sound.vocoder import Vocoder
from chiasm.tokenizers.storage import load_tokenizer, round_to_stored
from chiasm.tokenizers.tokenizer import Tokenizer
from chiasm.vision.learning.fit import stage_about
from chiasm.vision.learning.folder import begin_folder, finish_folder
from chiasm.vision.learning.settings import NOT_LEARNED
from chiasm.vision.tokenizer import seeded

ProgressCallback = Callable[[str, int, int, Values], None]
"""Callback with (stage, steps done, steps in all, latest losses)."""


def train_from_settings(
    settings: SoundTrainingSettings,
    folder: Path,
    *,
    device: torch.device | str = "cpu",
    progress: ProgressCallback = lambda *told: None,
    tell: Callable[[str], None] = print,
    command: str = "",
) -> Tokenizer:
    """Trains the tokenizer of a recipe into ``folder``; a call that was interrupted resumes.

    A folder that holds the finished tokenizer is opened.

    Args:
        settings: the recipe.
        folder: the tokenizer's folder.
        device: device of the training.
        progress: callback for the steps.
        tell: receives one line about anything the user should know.
        command: that makes the same tokenizer again, for the record.

    Raises:
        Stopped: a signal ended the training; its last step is saved.
        UserError: the folder belongs to other settings or sounds, sounds cannot be read, or
            whatever ends the training (see :meth:`chiasm.loop.loop.Loop.run`).
    """
    with settings_of("tracker"):
        settings.tracker.check()
    untrained = mel_tokenizer(settings.mel)
    encoder = untrained.encoder
    assert isinstance(encoder, LogMel)
    train, held_out = _sounds(settings, encoder, tell)
    refuse_few(train)
    identity = _identity(settings, train)
    if begin_folder(folder, identity, ALONE):
        return load_tokenizer(folder)
    untrained.to(device)
    statistics = untrained.measure(train.batches(SOUNDS_AT_ONCE, device), data=train.data)
    vocoder = seeded(settings.seed, Vocoder, settings.mel, settings.decoder, statistics)
    stage = VocoderStage(vocoder, encoder, statistics, settings.noise, train).to(device).train()
    with settings_of("fit"):
        fit = VocoderFit(
            *("vocoder", stage, len(train), settings.fit.fit, settings.seed, folder, identity),
            tell,
            tracker=settings.tracker,
        )
        fit.about = stage_about(settings, "vocoder")
        steps = settings.fit.steps
        fit.run(folder / "vocoder", lambda step: progress("vocoder", step.step, steps, step.losses))
    vocoder.eval()
    round_to_stored(vocoder)
    tokenizer = Tokenizer(settings.name, encoder, vocoder, statistics)
    record: dict[str, Any] = {
        "settings": settings.model_dump(mode="json"),
        "identity": identity,
        "command": command,
        "data": train.data,
        "training_sounds": len(train),
        "unreadable_sounds": len(train.unreadable) + len(held_out.unreadable),
        "torch": torch.__version__,
        "figures": held_out_figures(tokenizer, train, held_out, device),
    }
    finish_folder(folder, tokenizer.cpu(), record)
    return tokenizer


def _sounds(
    settings: SoundTrainingSettings, encoder: LogMel, tell: Callable[[str], None]
) -> tuple[Sounds, Sounds]:
    """Returns the training and the held-out sounds."""
    source = settings.source
    if not isinstance(source, AudioTextSettings):
        raise UserError(
            "has no sounds", setting="source.kind", value=source.kind, remedy="name another"
        )
    with settings_of("source"):
        source.check()
        opening = Opening(sequence_length=1)
        try:
            opened = source.open("sounds", opening)
        except UserError:  # perhaps it has no words, which are extras here
            opened = source.open_sounds("sounds", opening)
    sides = []
    for split in Split:
        side = opened.side(split)
        data = f"{source.path} ({split.value}, {len(side)} documents)"
        sides.append(sounds_of_source(side, encoder, data=data))
        if sides[-1].unreadable:
            left_out = len(sides[-1].unreadable)
            tell(f"{split.value}: {left_out} sounds left out, among them {sides[-1].unreadable[0]}")
    return sides[0], sides[1]


def _identity(settings: SoundTrainingSettings, train: Sounds) -> str:
    told = settings.model_dump(mode="json", exclude=NOT_LEARNED)
    described = {"settings": told, "content": train.content}
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()
