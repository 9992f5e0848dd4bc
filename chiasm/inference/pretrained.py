"""A trained model with all that its use needs, and the folder that holds it.

    model.safetensors    the decoder's weights, float32
    tokenizer.json       the text tokenizer
    streams/NAME/        the tokenizer of a stream, unless the package ships it
    config.json          settings, shapes, and the hash or fingerprint of everything above

``config.json`` is part of the folder from the moment the folder has its name: it is made under
another name and renamed when all files are on disk.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import torch
from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from chiasm.actions import ActionFormat
from chiasm.batch.streams import IMAGE
from chiasm.data.tokenizer import TextTokenizer
from chiasm.device import choose_device, matmul_dtype
from chiasm.errors import UserError
from chiasm.flow import FlowSettings, default_shift
from chiasm.inference.location import CONFIG, find_model
from chiasm.inference.walks import WalkDocuments
from chiasm.model import Decoder, ModelSettings
from chiasm.settings import Settings
from chiasm.tokenizers.storage import load_tokenizer, save_tokenizer
from chiasm.tokenizers.streams import StreamTokenizers
from chiasm.tokenizers.tokenizer import Tokenizer
from chiasm.vision.trained import SHIPPED, shipped_folder

WEIGHTS = "model.safetensors"
TOKENIZER = "tokenizer.json"
STREAMS = "streams"
FORMAT = 2


class _Stream(Settings):
    """What ``config.json`` says of a stream."""

    context_of: str = ""
    tokenizer: str
    """One that the package ships, or the folder beside this file."""
    fingerprint: str


class _Config(Settings):
    """What ``config.json`` holds."""

    format: int
    model: ModelSettings
    flow: FlowSettings
    vocabulary_tokens: int = Field(gt=0)
    context_positions: int = Field(gt=0)
    actions: ActionFormat = ActionFormat()
    walks: WalkDocuments = WalkDocuments()
    weights_sha256: str
    tokenizer_fingerprint: str
    streams: dict[str, _Stream]


@dataclass(frozen=True)
class Pretrained:
    """A decoder, its tokenizers, and the settings that say how to read its outputs."""

    decoder: Decoder
    text_tokenizer: TextTokenizer
    tokenizers: StreamTokenizers
    flow: FlowSettings
    context_positions: int
    """Positions of the rows it was trained on: the longest document that it can hold."""
    actions: ActionFormat = field(default_factory=ActionFormat)
    """How the steps that it was trained on were written."""
    walks: WalkDocuments = field(default_factory=WalkDocuments)
    """What its training documents with actions were like."""

    @property
    def device(self) -> torch.device:
        """Where the decoder lies."""
        return self.decoder.device

    @property
    def draws(self) -> bool:
        """Whether it has a stream of pictures, with a decoder."""
        return IMAGE in self.tokenizers and self.tokenizers[IMAGE].decodes

    @property
    def vision_tokenizer(self) -> Tokenizer:
        """The tokenizer of the stream that pictures are of.

        Raises:
            UserError: the model has no such stream.
        """
        return self.tokenizers.of(IMAGE)

    def shift(self, stream: str) -> float:
        """Returns α of the shift of a stream's flow times, as in training."""
        shape = self.decoder.shapes[stream]
        return self.flow.of(stream).shift or default_shift(shape.num_tokens, shape.channels)

    def save(self, folder: Path | str) -> None:
        """Write the model, aside first; a folder of that name is replaced when all is on disk.

        Raises:
            UserError: the folder cannot be written, or the name belongs to something else. What
                was there is left as it was.
        """
        folder = Path(folder)
        if folder.exists() and not (folder / CONFIG).is_file():
            raise UserError(f"{folder} exists and holds no model; give another folder")
        aside = folder.with_name(folder.name + ".partial")
        try:
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir(parents=True)
            self._write(aside)
            _replace(aside, folder)
        except (OSError, SafetensorError) as error:
            shutil.rmtree(aside, ignore_errors=True)
            raise UserError(f"the model cannot be written to {folder}: {error}") from error

    def _write(self, folder: Path) -> None:
        state = self.decoder.state_dict()
        weights = {name: tensor.float().cpu().contiguous() for name, tensor in state.items()}
        save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
        self.text_tokenizer.save(folder)
        config = _Config(
            format=FORMAT,
            model=self.decoder.settings,
            flow=self.flow,
            vocabulary_tokens=self.decoder.vocabulary,
            context_positions=self.context_positions,
            actions=self.actions,
            walks=self.walks,
            weights_sha256=_sha256(folder / WEIGHTS),
            tokenizer_fingerprint=self.text_tokenizer.fingerprint,
            streams={
                shape.name: _Stream(
                    context_of=shape.context_of,
                    tokenizer=_save_tokenizer(self.tokenizers[shape.name], folder, shape.name),
                    fingerprint=self.tokenizers[shape.name].fingerprint,
                )
                for shape in self.decoder.shapes
            },
        )
        (folder / CONFIG).write_text(config.model_dump_json(indent=1) + "\n")

    @classmethod
    def load(cls, path_or_hub_id: str | Path, device: str | torch.device = "cpu") -> Pretrained:
        """Open a saved model: its folder, the run that made it, or a repository of the hub.

        Args:
            path_or_hub_id: a folder with ``config.json``; a run (its ``model/`` is opened); or
                ``owner/name`` on the Hugging Face hub, downloaded once and cached.
            device: where the weights go; matrix products run in bfloat16 on CUDA.

        Raises:
            UserError: there is nothing of that name, or a file is missing, damaged or of another
                model.
        """
        device = choose_device(str(device))
        folder = find_model(path_or_hub_id)
        config = _read_config(folder)
        text_tokenizer, tokenizers = _load_tokenizers(folder, config)
        decoder = Decoder(
            config.model,
            vocabulary=config.vocabulary_tokens,
            streams=tokenizers.streams,
            compute_dtype=matmul_dtype(device, "auto"),
        )
        decoder.load_state_dict(_load_weights(folder, config, decoder))
        decoder = decoder.to(device).eval().requires_grad_(False)
        told = (config.flow, config.context_positions, config.actions, config.walks)
        return cls(decoder, text_tokenizer, tokenizers.to(device), *told)


def _save_tokenizer(tokenizer: Tokenizer, folder: Path, stream: str) -> str:
    """The name of an equal tokenizer of the package, or a copy beside the model."""
    for name in SHIPPED:
        try:
            shipped = load_tokenizer(shipped_folder(name))
        except UserError:
            continue  # a package without it: the model then carries its own
        if shipped.fingerprint == tokenizer.fingerprint:
            return name
    save_tokenizer(tokenizer, folder / STREAMS / stream)
    return f"{STREAMS}/{stream}"


def _replace(aside: Path, folder: Path) -> None:
    """Give ``aside`` the name ``folder``; what had the name goes last."""
    before = folder.with_name(folder.name + ".before")
    shutil.rmtree(before, ignore_errors=True)
    if folder.exists():
        os.replace(folder, before)
    os.replace(aside, folder)
    shutil.rmtree(before, ignore_errors=True)


def _read_config(folder: Path) -> _Config:
    path = folder / CONFIG
    try:
        found = json.loads(path.read_text())
        if found.get("format") != FORMAT:
            raise UserError(
                f"{path} has format {found.get('format')!r}; this version of chiasm reads {FORMAT}"
            )
        return _Config.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise UserError(
            f"{path} cannot be opened: {place}: {first['msg'].removeprefix('Value error, ')}"
        ) from error
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f"{path} cannot be read: {error}; save or copy the model again") from error


def _load_tokenizers(folder: Path, config: _Config) -> tuple[TextTokenizer, StreamTokenizers]:
    text = TextTokenizer.load(_found(folder / TOKENIZER))
    _refuse_other(folder / TOKENIZER, text.fingerprint, config.tokenizer_fingerprint)
    tokenizers: dict[str, Tokenizer] = {}
    for name, told in config.streams.items():
        shipped = told.tokenizer in SHIPPED
        where = shipped_folder(told.tokenizer) if shipped else folder / told.tokenizer
        own = tokenizers[name] = load_tokenizer(where)
        remedy = "install the version of chiasm that made it" if shipped else ""
        _refuse_other(where, own.fingerprint, told.fingerprint, remedy)
    context_of = {name: told.context_of for name, told in config.streams.items()}
    return text, StreamTokenizers(tokenizers, context_of)


def _found(path: Path) -> Path:
    if not path.is_file():
        raise UserError(f"{path} is missing; save or copy the model again")
    return path


def _refuse_other(where: Path, found: str, named: str, remedy: str = "") -> None:
    if found != named:
        raise UserError(
            f"{where} is not the tokenizer that the model was trained with (fingerprint "
            f"{found[:12]}, {CONFIG} names {named[:12]}); {remedy or 'copy the model again'}"
        )


def _load_weights(folder: Path, config: _Config, decoder: Decoder) -> dict[str, Tensor]:
    path = _found(folder / WEIGHTS)
    if _sha256(path) != config.weights_sha256:
        raise UserError(
            f"{path} is damaged or half-written: its hash is not the one in {CONFIG}; save or "
            "copy the model again"
        )
    weights = load_file(path)
    shapes = {name: tensor.shape for name, tensor in weights.items()}
    expected = {name: tensor.shape for name, tensor in decoder.state_dict().items()}
    wrong = sorted({name for name, _ in shapes.items() ^ expected.items()})
    if wrong:
        raise UserError(
            f"{path} does not fit the settings in {CONFIG}: {', '.join(wrong[:3])} "
            f"({len(wrong)} in all); the two are not of one model"
        )
    return weights


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
