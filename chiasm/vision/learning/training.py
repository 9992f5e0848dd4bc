"""Training of a vision tokenizer into a folder: its stages, statistics and figures.

``rae``: an encoder, frozen, then a decoder of its features; or the decoder alone, of any frozen
tokenizer's latents. ``vae``: encoder and decoder together.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

import chiasm.vision.parts  # noqa: F401  (what a finished folder may name)
from chiasm.errors import UserError, settings_of
from chiasm.loop.metrics import Values
from chiasm.ranks import ALONE, Ranks, agree
from chiasm.tokenizers.statistics import LatentStatistics, RunningStatistics
from chiasm.tokenizers.storage import load_tokenizer, round_to_stored
from chiasm.tokenizers.tokenizer import Tokenizer
from chiasm.vision.convolutional import ConvolutionalDecoder
from chiasm.vision.encoder import RaeEncoder
from chiasm.vision.kl_autoencoder import Autoencoder
from chiasm.vision.layers import name_of
from chiasm.vision.learning.contrastive import ContrastiveStage
from chiasm.vision.learning.figures import held_out_figures
from chiasm.vision.learning.fit import Fit, Stage, stage_about
from chiasm.vision.learning.folder import begin_folder, finish_folder
from chiasm.vision.learning.frechet import FeatureNetwork
from chiasm.vision.learning.pictures import Pictures, check_pictures, picture_shape
from chiasm.vision.learning.reconstruction import (
    PICTURES_AT_ONCE,
    DecoderStage,
    Encode,
    VariationalStage,
    solve_linear_decoder,
)
from chiasm.vision.learning.self_supervised import SelfSupervisedStage
from chiasm.vision.learning.settings import NOT_LEARNED, FitSettings, TokenizerTrainingSettings
from chiasm.vision.tokenizer import PictureEncoder, seeded

STATISTICS_PICTURES = 20_000
"""Training pictures, evenly spread, that latent statistics are measured on: each has many cells."""
RIDGE_PICTURES = 8192
"""Training pictures that a convolutional decoder's closed-form start is solved on: at 16 cells of a
picture, many times the 9 C + 1 numbers that it has for each value."""

ProgressCallback = Callable[[str, int, int, Values], None]
"""Callback with (stage, steps done, steps in all, latest losses)."""


def train_tokenizer(
    settings: TokenizerTrainingSettings,
    train: Pictures,
    held_out: Pictures,
    folder: Path,
    *,
    frozen: Tokenizer | None = None,
    network: FeatureNetwork | None = None,
    device: torch.device | str = "cpu",
    progress: ProgressCallback = lambda *told: None,
    tell: Callable[[str], None] = print,
    command: str = "",
    ranks: Ranks = ALONE,
) -> Tokenizer:
    """Trains a tokenizer into ``folder``; a call that was interrupted resumes.

    A folder that holds the finished tokenizer is opened.

    Args:
        train: data of all stages and of the statistics.
        held_out: images of samples and of the stored figures; never trained on.
        frozen: the tokenizer that ``settings.frozen`` names.
        network: for the reconstructions' Fréchet distance among the figures.
        tell: receives one line about anything the user should know.
        command: that makes the same tokenizer again, for the record.
        ranks: the ranks that train it together, each by a call of its own; all see the folder.

    Raises:
        Stopped: a signal ended a stage's training; its last step is saved.
        UserError: the folder belongs to other settings, images and settings do not fit, or whatever
            ends a stage's training (see :meth:`chiasm.loop.loop.Loop.run`).
    """
    with ranks.together():
        settings.refuse_uneven(ranks.size)
        with settings_of("tracker"):
            settings.tracker.check()
        check_pictures(train, picture_shape(settings, frozen), settings)
        if frozen is not None:
            _of_pictures(frozen)
    identity = _identity(settings, train, frozen)
    pictures = {"data": train.data, "count": len(train), "content": train.content}
    agree(ranks, lambda: {"the pictures": pictures, "what is trained": identity})
    if begin_folder(folder, identity, ranks):
        with ranks.together():
            return load_tokenizer(folder)
    if frozen is not None:
        frozen.requires_grad_(False).eval().to(device)
    work = _Work(
        settings, train, held_out, folder, identity, torch.device(device), progress, tell, ranks
    )
    tokenizer = (_train_vae if settings.kind == "vae" else _train_rae)(work, frozen)
    with ranks.together():
        if ranks.is_first:
            record: dict[str, Any] = {
                "settings": settings.model_dump(mode="json"),
                "identity": identity,
                "command": command,
                "data": train.data,
                "training_pictures": len(train),
                "unreadable_pictures": len(train.unreadable) + len(held_out.unreadable),
                "held_out_data": held_out.data,
                "torch": torch.__version__,
                "figures": held_out_figures(tokenizer, train, held_out, network, device),
            }
            if network is not None:
                record["inception_sha256"] = network.sha256
            finish_folder(folder, tokenizer.cpu(), record)
    return tokenizer.cpu()


@dataclass
class _Work:
    """Arguments of every stage."""

    settings: TokenizerTrainingSettings
    train: Pictures
    held_out: Pictures
    folder: Path
    identity: str
    device: torch.device
    progress: ProgressCallback
    tell: Callable[[str], None]
    ranks: Ranks

    def fit(self, name: str, table: str, make: Callable[[], Stage]) -> Stage:
        """Returns a stage trained by the settings ``table``; first weights depend on the seed."""
        stage = seeded(self.settings.seed + 1, make).to(self.device).train()
        asked: FitSettings = getattr(self.settings, table).fit
        with settings_of(f"{table}.fit"):
            fit = Fit(
                name,
                stage,
                len(self.train),
                asked,
                self.settings.seed,
                self.folder,
                self.identity,
                self.tell,
                self.ranks,
                self.settings.tracker,
            )
            fit.about = stage_about(self.settings, name)
            fit.run(
                self.folder / name,
                lambda step: self.progress(name, step.step, asked.steps, step.losses),
            )
        self.ranks.at_rest()
        return stage.eval()

    @torch.no_grad()
    def measure(self, encoder: PictureEncoder, label: str) -> LatentStatistics:
        """Returns statistics of latents over evenly spread training images named ``label``."""
        running = RunningStatistics(encoder.channels)
        chosen = self.train.spread(STATISTICS_PICTURES)
        with self.ranks.together():
            for images_B3HW in chosen.batches(PICTURES_AT_ONCE, self.device, self.ranks):
                running.update(encoder.features(images_B3HW))
        running = running.over(self.ranks)
        with self.ranks.together():
            return running.finish(
                encoder=label, preprocessing=encoder.preprocessing, data=self.train.data
            )


def _train_rae(work: _Work, frozen: Tokenizer | None) -> Tokenizer:
    """Returns a frozen encoder, trained first if none is given, with a decoder of its features."""
    settings, asked = work.settings, work.settings.reconstruction
    encoder: PictureEncoder
    if frozen is None:
        encoder = _train_encoder(work)
        label = f"{settings.name} encoder {_weights_hash(encoder)}"
        if (read := settings.encoder.read_layers) is not None:
            label += f", {name_of(read, settings.encoder.layer_join)}"
    else:
        encoder, label = _of_pictures(frozen), frozen.statistics.encoder
    statistics = work.measure(encoder, label)
    encode = _standardized(encoder, statistics)
    decoder = seeded(settings.seed + 2, settings.decoder.build, encoder.image_shape, statistics)
    decoder.to(work.device)
    if isinstance(decoder, ConvolutionalDecoder):
        start = work.train.spread(RIDGE_PICTURES)
        solve_linear_decoder(decoder.linear, encode, start, asked.noise, work.ranks)
    work.fit(
        "decoder",
        "reconstruction",
        lambda: DecoderStage(decoder, encode, asked, work.train, work.held_out),
    )
    round_to_stored(decoder)
    return Tokenizer(settings.name, encoder, decoder, statistics)


def _train_encoder(work: _Work) -> RaeEncoder:
    settings, train = work.settings, work.train
    encoder = seeded(settings.seed, RaeEncoder, settings.encoder)

    def make() -> Stage:
        if settings.objective == "contrastive":
            return ContrastiveStage(encoder, settings.contrastive, train)
        return SelfSupervisedStage(encoder, settings.self_supervised, train)

    stage = work.fit("encoder", settings.objective, make)
    if isinstance(stage, SelfSupervisedStage):
        encoder = stage.teacher
    round_to_stored(encoder)
    return encoder.requires_grad_(False).eval()


def _train_vae(work: _Work, frozen: Tokenizer | None) -> Tokenizer:
    settings, asked = work.settings, work.settings.reconstruction
    autoencoder = seeded(settings.seed, Autoencoder, settings.vae)
    encode = None
    if frozen is not None and asked.feature_weight > 0:
        judge = _of_pictures(frozen)
        encode = _standardized(judge, work.measure(judge, frozen.statistics.encoder))
    work.fit(
        "vae",
        "reconstruction",
        lambda: VariationalStage(autoencoder, encode, asked, work.train, work.held_out),
    )
    round_to_stored(autoencoder)
    statistics = work.measure(autoencoder, f"{settings.name} vae {_weights_hash(autoencoder)}")
    return Tokenizer(settings.name, autoencoder, autoencoder, statistics)


def _of_pictures(tokenizer: Tokenizer) -> PictureEncoder:
    encoder = tokenizer.encoder
    if not isinstance(encoder, PictureEncoder):
        raise UserError(
            f"reads {tokenizer.modality}, not pictures", setting="frozen", remedy="name another"
        )
    return encoder


def _standardized(encoder: PictureEncoder, statistics: LatentStatistics) -> Encode:
    return lambda images_B3HW: statistics.standardize(encoder.features(images_B3HW))


def _weights_hash(module: nn.Module) -> str:
    digest = hashlib.sha256()
    for _, tensor in sorted(module.state_dict().items()):
        digest.update(tensor.cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def _identity(
    settings: TokenizerTrainingSettings, train: Pictures, frozen: Tokenizer | None
) -> str:
    told = settings.model_dump(mode="json", exclude=NOT_LEARNED)
    described = {"settings": told, "data": train.data, "n": len(train)}
    if frozen is not None:
        described["frozen"] = frozen.fingerprint
    if train.content:
        described["content"] = train.content
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()
