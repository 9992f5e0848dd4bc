"""Training a vision tokenizer: encoder, statistics, decoder, and the folder that holds them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field

from chiasm.errors import UserError
from chiasm.settings import Settings
from chiasm.vision.contrastive import ContrastiveSettings, ContrastiveStage, picture_batch
from chiasm.vision.figures import held_out_figures
from chiasm.vision.fit import Fit, Progress
from chiasm.vision.pictures import Pictures
from chiasm.vision.rae import (
    DecoderSettings,
    Encoder,
    EncoderSettings,
    RaeTokenizer,
    new_decoder,
    new_encoder,
)
from chiasm.vision.reconstruction import (
    PICTURES_AT_ONCE,
    ReconstructionSettings,
    ReconstructionStage,
    solve_linear_decoder,
)
from chiasm.vision.statistics import LatentStatistics, RunningStatistics
from chiasm.vision.storage import DESCRIPTION, read_description, round_to_stored, save_tokenizer


class RaeSettings(Settings):
    """How a representation autoencoder is built and trained, whatever it is trained on."""

    name: str = "rae"
    """What the tokenizer is called; runs that use it record the name."""
    seed: int = 0
    """Starts every random number of the training."""
    encoder: EncoderSettings = EncoderSettings()
    """Shape of the encoder."""
    decoder: DecoderSettings = DecoderSettings()
    """Shape of the decoder."""
    contrastive: ContrastiveSettings = ContrastiveSettings()
    """Stage 1: the encoder."""
    reconstruction: ReconstructionSettings = ReconstructionSettings()
    """Stage 2: the decoder."""
    statistics_pictures: int = Field(default=20_000, ge=1)
    """Training pictures that the latent statistics are measured on."""


def train_tokenizer(
    settings: RaeSettings,
    train: Pictures,
    held_out: Pictures,
    folder: Path,
    *,
    progress: Progress | None = None,
    command: str = "",
) -> RaeTokenizer:
    """Train a tokenizer into ``folder``; a call that was interrupted continues.

    Args:
        train: what both stages learn from, and what the statistics are measured on.
        held_out: pictures of which the stored figures are taken; never trained on.
        command: what a user types to make the same tokenizer again, for the record.

    Raises:
        UserError: the folder belongs to other settings, or training diverges.
    """
    check_pictures(train, settings.encoder)
    identity = _identity(settings, train)
    if (folder / DESCRIPTION).exists():
        if read_description(folder).get("record", {}).get("identity") != identity:
            raise UserError(
                f"{folder} already holds a tokenizer of other settings or data; train into "
                "another folder"
            )
        raise UserError(f"{folder} already holds this very tokenizer; nothing is left to train")
    folder.mkdir(parents=True, exist_ok=True)
    encoder, first_history = _train_encoder(settings, train, folder, identity, progress)
    statistics = measure_encoder(settings, encoder, train)
    tokenizer, second_history = _train_decoder(
        settings, encoder, statistics, train, folder, identity, progress
    )
    record: dict[str, Any] = {
        "settings": settings.model_dump(mode="json"),
        "identity": identity,
        "command": command,
        "data": train.data,
        "training_pictures": len(train),
        "held_out_data": held_out.data,
        "torch": torch.__version__,
        "figures": held_out_figures(tokenizer, train, held_out),
        "losses": {"encoder": first_history[-1:], "decoder": second_history[-1:]},
    }
    save_tokenizer(tokenizer, folder, record)
    for leftover in folder.glob("*.checkpoint.pt"):
        leftover.unlink()
    return tokenizer


def check_pictures(pictures: Pictures, encoder: EncoderSettings) -> None:
    """Refuse pictures that the encoder cannot take, before anything is spent on them.

    Raises:
        UserError: the sizes differ, or there is one picture or none.
    """
    expected = (encoder.image_pixels, encoder.image_pixels, 3)
    if pictures.pixels_MHW3.shape[1:] != expected:
        raise UserError(
            f"encoder.image_pixels = {encoder.image_pixels}, but the pictures have the shape "
            f"{pictures.pixels_MHW3.shape[1:]}; set it to their side"
        )
    if len(pictures) < 2:
        raise UserError(f"{pictures.data} has {len(pictures)} captioned pictures; give at least 2")


def _train_encoder(
    settings: RaeSettings,
    train: Pictures,
    folder: Path,
    identity: str,
    progress: Progress | None,
) -> tuple[Encoder, list[dict[str, float]]]:
    encoder = new_encoder(settings.encoder, settings.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed + 1)
        stage = ContrastiveStage(encoder, settings.encoder, settings.contrastive, train)
    fit = Fit(
        "encoder",
        stage,
        stage.losses,
        len(train),
        settings.contrastive.fit,
        settings.seed,
        identity,
    )
    fit.run(folder, progress)
    round_to_stored(encoder)
    return encoder.requires_grad_(False).eval(), fit.history


@torch.no_grad()
def measure_encoder(settings: RaeSettings, encoder: Encoder, train: Pictures) -> LatentStatistics:
    """Statistics of a frozen encoder's features over evenly spread training pictures."""
    running = RunningStatistics(settings.encoder.channels)
    numbers = evenly_spread(len(train), settings.statistics_pictures)
    for chosen in np.array_split(numbers, -(-len(numbers) // PICTURES_AT_ONCE)):
        running.update(encoder(picture_batch(train, chosen)))
    digest = hashlib.sha256()
    for _, tensor in sorted(encoder.state_dict().items()):
        digest.update(tensor.numpy().tobytes())
    return running.finish(
        encoder=f"{settings.name} encoder {digest.hexdigest()[:16]}",
        preprocessing=RaeTokenizer.preprocessing,
        data=train.data,
    )


def _train_decoder(
    settings: RaeSettings,
    encoder: Encoder,
    statistics: LatentStatistics,
    train: Pictures,
    folder: Path,
    identity: str,
    progress: Progress | None,
) -> tuple[RaeTokenizer, list[dict[str, float]]]:
    decoder = new_decoder(settings.decoder, settings.encoder, settings.seed + 2)
    start = train.select(evenly_spread(len(train), settings.reconstruction.ridge_pictures))
    solve_linear_decoder(decoder.linear, encoder, statistics, start, settings.reconstruction.noise)
    stage = ReconstructionStage(encoder, decoder, statistics, settings.reconstruction, train)
    fit = Fit(
        "decoder",
        stage,
        stage.losses,
        len(train),
        settings.reconstruction.fit,
        settings.seed,
        identity,
    )
    fit.run(folder, progress)
    round_to_stored(decoder)
    tokenizer = RaeTokenizer(
        settings.name, encoder, decoder, statistics, settings.encoder, settings.decoder
    )
    return tokenizer, fit.history


def evenly_spread(total: int, most: int) -> np.ndarray:
    """At most ``most`` of the numbers 0 to total - 1, evenly spread: int64."""
    return np.arange(total) if total <= most else np.arange(most) * total // most


def _identity(settings: RaeSettings, train: Pictures) -> str:
    described = {"settings": settings.model_dump(mode="json"), "data": train.data, "n": len(train)}
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()
