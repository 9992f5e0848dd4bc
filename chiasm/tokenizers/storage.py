"""A tokenizer as a folder: ``weights.safetensors`` and ``description.json``.

The JSON file holds what encoder and decoder say of themselves, the statistics with their
provenance, the hash of the weights and the record of how they were made. Weights are kept in
float16 where that loses nothing. Of weights that are published elsewhere the description has place
and hash alone.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from chiasm.errors import UserError
from chiasm.tokenizers.tokenizer import Tokenizer
from chiasm.whole import write_whole

WEIGHTS = "weights.safetensors"
DESCRIPTION = "description.json"


def save_tokenizer(
    tokenizer: Tokenizer, folder: Path, record: dict[str, Any] | None = None
) -> None:
    """Write a tokenizer; ``record`` (recipe, seeds, command, figures) goes into the JSON file.

    Each file is written aside and renamed, the JSON file last: a folder that has it is whole.
    """
    description = tokenizer.describe()
    weights = {name: _smallest(tensor) for name, tensor in tokenizer.weights.items()}
    if weights:
        content = save(weights)
        write_whole(folder / WEIGHTS, content)
        description["weights_sha256"] = hashlib.sha256(content).hexdigest()
    description["record"] = record or {}
    write_whole(folder / DESCRIPTION, json.dumps(description, indent=1) + "\n")


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer that a folder holds, with its weights frozen.

    Raises:
        UserError: the folder is missing or incomplete, its weights are not the ones that its
            description names, or what it refers to has changed.
    """
    description = read_description(folder)
    path = folder / DESCRIPTION
    try:
        tokenizer = Tokenizer.open(description)
        expected_hash = description["weights_sha256"] if tokenizer.weights else ""
    except UserError as error:
        raise UserError(
            f"{path} refers to what cannot be opened as it was when it was made: {error}"
        ) from error
    except (AttributeError, KeyError, TypeError, ValueError, ValidationError) as error:
        raise UserError(
            f"{path} does not describe a tokenizer: {error!r}; what its encoder and its decoder "
            "describe() has to be all that they are made from"
        ) from error
    if expected_hash:
        _load_weights(tokenizer, folder / WEIGHTS, expected_hash)
    return tokenizer


def read_description(folder: Path) -> dict[str, Any]:
    """What ``description.json`` says.

    Raises:
        UserError: there is no such file, or it is not JSON.
    """
    path = folder / DESCRIPTION
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise UserError(
            f"{folder} holds no tokenizer: neither {DESCRIPTION}, which chiasm vision train "
            "writes when it has finished, nor the config.json of a published model is there"
        ) from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error


def _load_weights(tokenizer: Tokenizer, path: Path, expected_hash: str) -> None:
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
        weights = load(content)
    except SafetensorError as error:
        raise UserError(f"{path} is not a safetensors file: {error}") from error
    expected = tokenizer.weights
    shapes, found = ({name: t.shape for name, t in each.items()} for each in (expected, weights))
    if wrong := [name for name in sorted(shapes | found) if shapes.get(name) != found.get(name)]:
        raise UserError(
            f"{path} does not fit the shapes in {DESCRIPTION}: {', '.join(wrong[:3])}"
            f" ({len(wrong)} in all); copy or train the folder again"
        )
    for name, tensor in expected.items():
        tensor.copy_(weights[name])


def _smallest(tensor: Tensor) -> Tensor:
    """The same numbers in float16, if they are."""
    tensor = tensor.detach().cpu()
    half = tensor.half()
    return half if tensor.is_floating_point() and torch.equal(half.float(), tensor) else tensor


def round_to_stored(module: torch.nn.Module) -> None:
    """Round the weights to float16, so that :func:`save_tokenizer` keeps them in half the room."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(parameter.half().float())
