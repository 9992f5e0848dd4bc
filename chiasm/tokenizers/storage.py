"""A tokenizer as a folder: ``weights.safetensors`` and ``description.json``.

The JSON file holds the descriptions of encoder and decoder, the statistics with their provenance,
the hash of the weights and the record of how they were made. Weights are kept in float16 where that
loses nothing. For weights that are published elsewhere the description has place and hash alone,
unless the folder is portable: then they lie in it, in the layout of their own library.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from chiasm.errors import UserError
from chiasm.public import public
from chiasm.tokenizers.tokenizer import Tokenizer
from chiasm.whole import sha256_of, write_whole

WEIGHTS = "weights.safetensors"
DESCRIPTION = "description.json"


def save_tokenizer(
    tokenizer: Tokenizer,
    folder: Path,
    record: dict[str, Any] | None = None,
    *,
    portable: bool = False,
) -> None:
    """Writes a tokenizer; ``record`` (recipe, seeds, command, figures) goes into the JSON file.

    Each file is written aside and renamed, the JSON file last: a folder that has it is whole. A
    ``portable`` one holds published weights too, and names no path of this machine.
    """
    description = tokenizer.describe()
    if portable:
        for role, part in tokenizer.roles.items():
            description[role] |= part.carry(folder, tokenizer.statistics)
        description = public(description)
    weights = {name: _smallest(tensor) for name, tensor in tokenizer.weights.items()}
    if weights:
        write_whole(folder / WEIGHTS, save(weights))
        description["weights_sha256"] = sha256_of(folder / WEIGHTS)
    description["record"] = record or {}
    write_whole(folder / DESCRIPTION, json.dumps(description, indent=1) + "\n")


def load_tokenizer(folder: Path) -> Tokenizer:
    """Returns the tokenizer that a folder holds, with its weights frozen.

    Raises:
        UserError: the folder is missing or incomplete, its weights are not the ones that its
            description names, or what it refers to has changed.
    """
    description = read_description(folder)
    path = folder / DESCRIPTION
    try:
        tokenizer = Tokenizer.open(_placed(description, folder))
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
    if expected := tokenizer.weights:
        path = folder / WEIGHTS
        weights = read_weights(path, expected_hash, expected, told_by=DESCRIPTION)
        for name, tensor in expected.items():
            tensor.copy_(weights[name])
    return tokenizer


def _placed(description: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Returns a description in which paths that count from its folder are whole."""

    def placed(part: Any) -> Any:
        if isinstance(part, dict) and str(part.get("path")).startswith("./"):
            return part | {"path": str(folder / part["path"])}
        return part

    return {name: placed(value) for name, value in description.items()}


def read_description(folder: Path) -> dict[str, Any]:
    """Returns the content of ``description.json``.

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


def read_weights(
    path: Path, sha256: str, expected: Mapping[str, Tensor], *, told_by: str
) -> dict[str, Tensor]:
    """Returns the tensors of a safetensors file.

    Args:
        sha256: of the file, as the file ``told_by`` beside it gives it.
        expected: tensors of the names and shapes that go with that file's settings.

    Raises:
        UserError: it is missing or damaged, or the two files are not of one model.
    """
    try:
        found = sha256_of(path)
        weights = load_file(path) if found == sha256 else {}
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} cannot be read: {error}; copy or make it again") from error
    if found != sha256:
        raise UserError(
            f"{path} is damaged or half-written, or of another model: it has the hash "
            f"{found[:12]}…, but {told_by} names {sha256[:12]}…; copy or make the folder again"
        )
    shapes, fitting = ({name: t.shape for name, t in all_.items()} for all_ in (weights, expected))
    if wrong := sorted({name for name, _ in shapes.items() ^ fitting.items()}):
        raise UserError(
            f"{path} does not fit the settings in {told_by}: {', '.join(wrong[:3])} "
            f"({len(wrong)} in all); the two are not of one model: copy or make the folder again"
        )
    return weights


def _smallest(tensor: Tensor) -> Tensor:
    """Returns the tensor in float16 if that keeps all numbers, else as it is."""
    tensor = tensor.detach().cpu()
    half = tensor.half()
    return half if tensor.is_floating_point() and torch.equal(half.float(), tensor) else tensor


def round_to_stored(module: torch.nn.Module) -> None:
    """Rounds weights to float16, so that :func:`save_tokenizer` keeps them in half the space."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(parameter.half().float())
