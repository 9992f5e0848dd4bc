"""``chiasm vision train``: a tokenizer from a recipe that names its data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch

from chiasm.capabilities import Labelled
from chiasm.data.source import Opened, Opening
from chiasm.documents import Split
from chiasm.errors import settings_of
from chiasm.ranks import ALONE, Ranks
from chiasm.tokenizers.settings import open_tokenizer
from chiasm.tokenizers.tokenizer import Tokenizer
from chiasm.vision.learning.decoded import kept_pictures
from chiasm.vision.learning.frechet import FeatureNetwork
from chiasm.vision.learning.pictures import (
    Pictures,
    picture_shape,
    pictures_of_frames,
    pictures_of_source,
)
from chiasm.vision.learning.settings import VisionTrainingSettings
from chiasm.vision.learning.training import ProgressCallback, train_tokenizer


def train_from_settings(
    settings: VisionTrainingSettings,
    out: Path,
    *,
    cache_folder: Path,
    inception: Path | None = None,
    device: torch.device | str = "cpu",
    progress: ProgressCallback = lambda *told: None,
    tell: Callable[[str], None] = print,
    command: str = "",
    ranks: Ranks = ALONE,
) -> Tokenizer:
    """Trains the tokenizer of a recipe into the folder ``out``, or resumes its training.

    As :func:`train_tokenizer`; rendering is a stage too, and ``cache_folder`` keeps its result: of
    several ranks, one of each machine renders for all of them.
    ``inception`` is a TorchScript module (:class:`FeatureNetwork`), for rFID.

    Raises:
        Stopped, UserError: as :func:`train_tokenizer`, and on data that cannot be read.
    """
    with ranks.together():
        settings.refuse_uneven(ranks.size)
    material = ranks.once_per_machine(
        lambda: _open(settings, cache_folder, inception, device, progress, tell)
    )
    return train_tokenizer(
        settings,
        material.train,
        material.held_out,
        out,
        frozen=material.frozen,
        network=material.network,
        device=device,
        progress=progress,
        tell=tell,
        command=command,
        ranks=ranks,
    )


class _Material(NamedTuple):
    """What a recipe's training reads."""

    train: Pictures
    held_out: Pictures
    frozen: Tokenizer | None
    network: FeatureNetwork | None


def _open(
    settings: VisionTrainingSettings,
    cache_folder: Path,
    inception: Path | None,
    device: torch.device | str,
    progress: ProgressCallback,
    tell: Callable[[str], None],
) -> _Material:
    network = None if inception is None else FeatureNetwork(inception, device)
    frozen = None
    if settings.frozen is not None:
        with settings_of("frozen"):
            frozen = open_tokenizer(settings.frozen)
            frozen.refuse_varying("chiasm vision train")
    pixels = picture_shape(settings, frozen).height_pixels
    opening = Opening(
        sequence_length=1,
        tables={"world": settings.world},
        cache_folder=cache_folder,
        on_stage=lambda what, done, total: progress(what, done, total, {}),
    )
    with settings_of("source"):
        opened = settings.source.open_pictures(
            "pictures",
            opening,
            side=(settings.size_setting, pixels),
            captioned=settings.reads_captions,
        )
    train, held_out = (
        _pictures(settings, opened, pixels, split, cache_folder, tell) for split in Split
    )
    return _Material(train, held_out, frozen, network)


def _pictures(
    settings: VisionTrainingSettings,
    opened: Opened,
    pixels: int,
    split: Split,
    cache_folder: Path,
    tell: Callable[[str], None],
) -> Pictures:
    source = opened.side(split)
    if isinstance(source, Labelled):
        return pictures_of_frames(source, clear_only=split is Split.HELD_OUT)
    told = ", ".join(path for path in settings.source.paths[:1] if path) or settings.source.kind
    data = f"{told} ({split.value}, {len(source)} documents)"
    captioned, facts = settings.reads_captions, opened.facts
    pictures = kept_pictures(
        cache_folder / "pictures",
        (facts.fingerprint, facts.held_out_fingerprint),
        (settings.source, data, pixels, captioned),
        lambda: pictures_of_source(source, pixels, data=data, captioned=captioned),
    )
    if pictures.unreadable:
        left_out = f"{split.value}: {len(pictures.unreadable)} pictures cannot be decoded, among "
        tell(f"{left_out}them {pictures.unreadable[0]}")
    return pictures
