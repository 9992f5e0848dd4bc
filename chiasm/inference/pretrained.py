"""A trained model with all that its use needs, and the folder that stores it.

    model.safetensors    the decoder's weights, float32
    tokenizer.json       the text tokenizer
    streams/NAME/        the tokenizer of a stream, unless the package ships it; of published
                         weights only where they are, unless the folder is portable
    config.json          settings, shapes, and the hash or fingerprint of everything above

A folder of that name is whole: it is made under another one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copymode
from typing import Self

import torch
from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

import chiasm.sound.parts
import chiasm.vision.parts  # noqa: F401  (what folders of tokenizers name)
from chiasm.actions import ActionFormat
from chiasm.batch.streams import IMAGE, StreamShape
from chiasm.data.tokenizer import TextTokenizer
from chiasm.device import choose_device, keep_freed_memory, matmul_dtype
from chiasm.errors import UserError
from chiasm.flow import FlowSettings, default_shift
from chiasm.hub import download
from chiasm.inference.walks import WalkDocuments
from chiasm.model.decoder import Decoder
from chiasm.model.settings import ModelSettings
from chiasm.settings import Settings
from chiasm.shipped import MODELS, shipped_model
from chiasm.tokenizers.storage import load_tokenizer, read_weights, save_tokenizer
from chiasm.tokenizers.streams import StreamTokenizers
from chiasm.tokenizers.tokenizer import Tokenizer
from chiasm.vision.trained import SHIPPED, shipped_folder
from chiasm.whole import sha256_of, whole

CONFIG = "config.json"
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
    """A decoder, its tokenizers, and the settings by which its outputs are read."""

    decoder: Decoder
    text_tokenizer: TextTokenizer
    tokenizers: StreamTokenizers
    flow: FlowSettings
    context_positions: int
    """Positions of the rows it was trained on: the longest document that it can hold."""
    actions: ActionFormat = field(default_factory=ActionFormat)
    """Format of the actions in its training documents."""
    walks: WalkDocuments = field(default_factory=WalkDocuments)
    """Shape of its training documents with actions."""

    @property
    def device(self) -> torch.device:
        """Device of the decoder."""
        return self.decoder.device

    @property
    def draws(self) -> bool:
        """Whether it can draw: it has a stream of images whose tokenizer decodes."""
        return IMAGE in self.tokenizers and self.tokenizers[IMAGE].decodes

    @property
    def vision_tokenizer(self) -> Tokenizer:
        """Tokenizer of the image stream.

        Raises:
            UserError: the model has no such stream.
        """
        return self.tokenizers.of(IMAGE)

    def shift(self, shape: StreamShape) -> float:
        """Returns α of the shift of flow times of items of a shape, as in training."""
        return self.flow.of(shape.name).shift or default_shift(shape.num_tokens, shape.channels)

    def save(
        self,
        folder: Path | str,
        weights: Mapping[str, Tensor] | None = None,
        *,
        portable: bool = False,
    ) -> None:
        """Writes the model; another one of that name is replaced when all is on disk.

        ``weights`` are given where the decoder has only a part of its own. A ``portable`` folder
        holds all tokenizers, published ones too, and names no path of this machine.

        Raises:
            UserError: the folder cannot be written, or the name belongs to something else. What was
                there is left as it was.
        """
        folder = Path(folder)
        if folder.exists() and not (folder / CONFIG).is_file():
            raise UserError(f"{folder} exists and holds no model; give another folder")
        try:
            with whole(folder) as aside:
                self._write(aside, weights or self.decoder.state_dict(), portable)
        except (OSError, SafetensorError) as error:
            raise UserError(f"the model cannot be written to {folder}: {error}") from error

    def _write(self, folder: Path, state: Mapping[str, Tensor], portable: bool) -> None:
        weights = {name: tensor.float().cpu().contiguous() for name, tensor in state.items()}
        self.text_tokenizer.save(folder)
        save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
        copymode(folder / TOKENIZER, folder / WEIGHTS)  # it was written for its owner alone
        config = _Config(
            format=FORMAT,
            model=self.decoder.settings,
            flow=self.flow,
            vocabulary_tokens=self.decoder.vocabulary,
            context_positions=self.context_positions,
            actions=self.actions,
            walks=self.walks,
            weights_sha256=sha256_of(folder / WEIGHTS),
            tokenizer_fingerprint=self.text_tokenizer.fingerprint,
            streams={
                shape.name: _save_tokenizer(self.tokenizers[shape.name], folder, shape, portable)
                for shape in self.decoder.shapes
            },
        )
        (folder / CONFIG).write_text(config.model_dump_json(indent=1) + "\n")

    @classmethod
    def load(cls, path_or_hub_id: str | Path, device: str | torch.device = "cpu") -> Self:
        """Returns a saved model, from its folder, the run that made it, or a repository of the hub.

        Args:
            path_or_hub_id: a folder with ``config.json``; a run (its ``model/`` is opened); a model
                of the package, by its name; or ``owner/name`` on the Hugging Face hub, downloaded
                once and cached.
            device: where the weights go; matrix products run in bfloat16 on CUDA.

        Raises:
            UserError: there is nothing of that name, or a file is missing, damaged or of another
                model.
        """
        device = choose_device(str(device))
        keep_freed_memory(device)
        folder = find_model(path_or_hub_id)
        config = _read_config(folder)
        text_tokenizer, tokenizers = _load_tokenizers(folder, config)
        decoder = Decoder(
            config.model,
            vocabulary=config.vocabulary_tokens,
            streams=tokenizers.streams,
            compute_dtype=matmul_dtype(device, "auto"),
        )
        expected = decoder.state_dict()
        weights = read_weights(folder / WEIGHTS, config.weights_sha256, expected, told_by=CONFIG)
        decoder.load_state_dict(weights)
        decoder = decoder.to(device).eval().requires_grad_(False)
        told = (config.flow, config.context_positions, config.actions, config.walks)
        return cls(decoder, text_tokenizer, tokenizers.to(device), *told)


def _save_tokenizer(
    tokenizer: Tokenizer, folder: Path, shape: StreamShape, portable: bool
) -> _Stream:
    """Returns the record of an equal tokenizer of the package, else of a copy that it writes."""
    fingerprint = tokenizer.fingerprint
    for name in () if portable else SHIPPED:
        try:
            shipped = load_tokenizer(shipped_folder(name))
        except UserError:
            continue  # a package without it: the model then carries its own
        if shipped.fingerprint == fingerprint:
            return _Stream(context_of=shape.context_of, tokenizer=name, fingerprint=fingerprint)
    place = f"{STREAMS}/{shape.name}"
    save_tokenizer(tokenizer, folder / place, portable=portable)
    if portable:  # names of data are part of it, and have lost their folders
        fingerprint = load_tokenizer(folder / place).fingerprint
    return _Stream(context_of=shape.context_of, tokenizer=place, fingerprint=fingerprint)


def find_model(path_or_hub_id: str | Path) -> Path:
    """Returns the folder of a saved model: its own, a run's, the package's, or the hub's cache.

    Raises:
        UserError: there is nothing of that name.
    """
    if path_or_hub_id in MODELS:
        return shipped_model(str(path_or_hub_id))
    path = Path(path_or_hub_id).expanduser()
    for folder in (path, path / "model"):
        if (folder / CONFIG).is_file():
            return folder
    if path.exists():
        raise UserError(
            f"{path} holds no model: neither {CONFIG} nor model/{CONFIG} is there. A run gets its "
            "model/ when its training ends, or as often as training.model_every_steps says; if it "
            "was interrupted, run chiasm train again to go on"
        )
    name = str(path_or_hub_id)
    beside = path.parent != Path() and path.parent.is_dir()
    if beside or name.count("/") != 1 or name.startswith((".", "~", "/")):
        raise UserError(
            f"{path} does not exist; give a run, a saved model, a model of the package "
            f"({', '.join(MODELS)}) or a hub id owner/name"
        )
    folder = download(name)
    if not (folder / CONFIG).is_file():
        raise UserError(f"the hub's {name!r} holds no {CONFIG}: it is not a model of chiasm")
    return folder


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
    path = folder / TOKENIZER
    if not path.is_file():
        raise UserError(f"{path} is missing; save or copy the model again")
    text = TextTokenizer.load(path)
    _refuse_other(path, text.fingerprint, config.tokenizer_fingerprint)
    tokenizers: dict[str, Tokenizer] = {}
    for name, told in config.streams.items():
        shipped = told.tokenizer in SHIPPED
        where = shipped_folder(told.tokenizer) if shipped else folder / told.tokenizer
        own = tokenizers[name] = load_tokenizer(where)
        remedy = "install the version of chiasm that made it" if shipped else ""
        _refuse_other(where, own.fingerprint, told.fingerprint, remedy)
    context_of = {name: told.context_of for name, told in config.streams.items()}
    return text, StreamTokenizers(tokenizers, context_of)


def _refuse_other(where: Path, found: str, named: str, remedy: str = "") -> None:
    if found != named:
        raise UserError(
            f"{where} is not the tokenizer that the model was trained with (fingerprint "
            f"{found[:12]}, {CONFIG} names {named[:12]}); {remedy or 'copy the model again'}"
        )
