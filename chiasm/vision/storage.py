"""A vision tokenizer as a folder: ``vision.safetensors`` and ``vision.json``.

The JSON file holds the settings, the statistics with their provenance, the hash of the weights and
the record of how they were made; the weights are kept in float16, which halves them at no visible
cost. Kinds without weights (pixels) have the JSON file alone. Of published weights the folder keeps
where they are and their hashes. A decoder that was trained for another
tokenizer's latents keeps that one in a folder of its own inside.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from chiasm.errors import UserError
from chiasm.vision.encoder import EncoderSettings, encoder_shape, new_encoder
from chiasm.vision.kl_autoencoder import (
    AutoencoderSettings,
    AutoencoderTokenizer,
    new_autoencoder,
)
from chiasm.vision.pixels import PixelTokenizer
from chiasm.vision.published.reference import describe_published, reopen_published
from chiasm.vision.published.tokenizer import PublishedTokenizer
from chiasm.vision.rae import DecoderSettings, RaeTokenizer, RedecodedTokenizer, new_decoder
from chiasm.vision.statistics import LatentStatistics, statistics_of
from chiasm.vision.tokenizer import VisionTokenizer

WEIGHTS = "vision.safetensors"
DESCRIPTION = "vision.json"
FROZEN = "frozen"
"""Folder, inside a tokenizer's, of the tokenizer whose latents it draws."""


def save_tokenizer(
    tokenizer: VisionTokenizer, folder: Path, record: dict[str, Any] | None = None
) -> None:
    """Write a tokenizer; ``record`` (recipe, seeds, command, figures) goes into the JSON file.

    Each file is written aside and renamed, the JSON file last: a folder that has it is whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    description: dict[str, Any] = {"name": tokenizer.name}
    if isinstance(tokenizer, PixelTokenizer):
        description |= {
            "kind": "pixels",
            "image_pixels": tokenizer.image_shape.height_pixels,
            "patch_pixels": tokenizer.patch_pixels,
        }
    elif isinstance(tokenizer, RaeTokenizer):
        description |= {
            "kind": "rae",
            "encoder": tokenizer.encoder_settings.model_dump(),
            "decoder": tokenizer.decoder_settings.model_dump(),
            "decoder_statistics": asdict(tokenizer.decoder_statistics),
            "weights_sha256": _save_weights(tokenizer, folder),
        }
    elif isinstance(tokenizer, RedecodedTokenizer):
        save_tokenizer(tokenizer.frozen, folder / FROZEN)
        description |= {
            "kind": "redecoded",
            "decoder": tokenizer.decoder_settings.model_dump(),
            "decoder_statistics": asdict(tokenizer.decoder_statistics),
            "weights_sha256": _save_weights(tokenizer.decoder, folder),
        }
    elif isinstance(tokenizer, AutoencoderTokenizer):
        description |= {
            "kind": "vae",
            "vae": tokenizer.settings.model_dump(),
            "weights_sha256": _save_weights(tokenizer.autoencoder, folder),
        }
    elif isinstance(tokenizer, PublishedTokenizer):
        description |= {"kind": "published"} | describe_published(tokenizer)
    else:
        raise TypeError(f"a {type(tokenizer).__name__} has no folder format")
    description |= {"statistics": asdict(tokenizer.statistics), "record": record or {}}
    _write(folder / DESCRIPTION, (json.dumps(description, indent=1) + "\n").encode())


def load_tokenizer(folder: Path) -> VisionTokenizer:
    """The tokenizer that a folder holds, with its weights frozen.

    Raises:
        UserError: the folder is missing or incomplete, or its weights are not the ones that its
            description names.
    """
    description = read_description(folder)
    try:
        statistics = statistics_of(description["statistics"])
        if description["kind"] == "pixels":
            return PixelTokenizer(
                description["image_pixels"], description["patch_pixels"], statistics
            )
        kind = description["kind"]
        if kind == "published":
            return reopen_published(description, statistics, str(folder / DESCRIPTION))
        tokenizer, stored = _OPENERS[kind](folder, description, statistics)
        expected_hash = description["weights_sha256"]
    except (KeyError, TypeError, ValueError, ValidationError) as error:
        raise UserError(
            f"{folder / DESCRIPTION} does not describe a vision tokenizer: {error!r}"
        ) from error
    _load_weights(stored, _weights(folder, expected_hash), folder)
    return tokenizer


Opened = tuple[VisionTokenizer, torch.nn.Module]
"""A tokenizer without its weights, and the part of it that they belong to."""


def _open_rae(folder: Path, description: dict[str, Any], statistics: LatentStatistics) -> Opened:
    encoder_settings = EncoderSettings(**description["encoder"])
    decoder_settings = _decoder_settings(description)
    shape = encoder_shape(encoder_settings)
    tokenizer = RaeTokenizer(
        description["name"],
        new_encoder(encoder_settings, seed=0),
        new_decoder(decoder_settings, encoder_settings.channels, shape, seed=0),
        statistics_of(description["decoder_statistics"]),
        encoder_settings,
        decoder_settings,
    )
    tokenizer.statistics = statistics
    return tokenizer, tokenizer


def _open_redecoded(
    folder: Path, description: dict[str, Any], statistics: LatentStatistics
) -> Opened:
    frozen = load_tokenizer(folder / FROZEN)
    settings = _decoder_settings(description)
    decoder = new_decoder(settings, frozen.channels, frozen.image_shape, seed=0)
    decoder_statistics = statistics_of(description["decoder_statistics"])
    tokenizer = RedecodedTokenizer(
        description["name"], frozen, decoder, decoder_statistics, settings
    )
    tokenizer.statistics = statistics
    return tokenizer, decoder


def _open_vae(folder: Path, description: dict[str, Any], statistics: LatentStatistics) -> Opened:
    settings = AutoencoderSettings(**description["vae"])
    autoencoder = new_autoencoder(settings, seed=0)
    return (
        AutoencoderTokenizer(description["name"], autoencoder, statistics, settings),
        autoencoder,
    )


_OPENERS = {"rae": _open_rae, "redecoded": _open_redecoded, "vae": _open_vae}


def _decoder_settings(description: dict[str, Any]) -> DecoderSettings:
    return TypeAdapter(DecoderSettings).validate_python(description["decoder"])


def read_description(folder: Path) -> dict[str, Any]:
    """What ``vision.json`` says.

    Raises:
        UserError: there is no such file, or it is not JSON.
    """
    path = folder / DESCRIPTION
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise UserError(
            f"{folder} holds no vision tokenizer: neither {DESCRIPTION}, which chiasm vision train "
            "writes when it has finished, nor the config.json of a published model is there"
        ) from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error


def _weights(folder: Path, expected_hash: str) -> dict[str, Tensor]:
    path = folder / WEIGHTS
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    found_hash = hashlib.sha256(content).hexdigest()
    if found_hash != expected_hash:
        raise UserError(
            f"{path} has the hash {found_hash[:12]}…, but {DESCRIPTION} names "
            f"{expected_hash[:12]}…: the two files are not of one tokenizer, or one is damaged; "
            "copy or train the folder again"
        )
    try:
        return load(content)
    except SafetensorError as error:
        raise UserError(f"{path} is not a safetensors file: {error}") from error


def _save_weights(module: torch.nn.Module, folder: Path) -> str:
    """Write weights in float16; their hash."""
    content = save({name: tensor.half() for name, tensor in module.state_dict().items()})
    _write(folder / WEIGHTS, content)
    return hashlib.sha256(content).hexdigest()


def _load_weights(module: torch.nn.Module, weights: dict[str, Tensor], folder: Path) -> None:
    expected = module.state_dict()
    wrong = [
        name
        for name in sorted(expected.keys() | weights.keys())
        if name not in expected
        or name not in weights
        or expected[name].shape != weights[name].shape
    ]
    if wrong:
        raise UserError(
            f"{folder / WEIGHTS} does not fit the shapes in {DESCRIPTION}: {', '.join(wrong[:3])}"
            f" ({len(wrong)} in all); copy or train the folder again"
        )
    module.load_state_dict({name: tensor.float() for name, tensor in weights.items()})


def round_to_stored(module: torch.nn.Module) -> None:
    """Round the weights to what :func:`save_tokenizer` keeps, so that saving loses nothing."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(parameter.half().float())


def _write(path: Path, content: bytes) -> None:
    aside = path.with_name(path.name + ".partial")
    aside.write_bytes(content)
    aside.replace(path)
