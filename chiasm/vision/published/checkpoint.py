"""A published checkpoint: a local folder, or a repository of the hub in its cache.

Only folders are opened, only JSON and safetensors files are read from them, and the network is
never used when the cache has the checkpoint or ``HF_HUB_OFFLINE`` is set.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from chiasm import errors
from chiasm.errors import UserError, first_line
from chiasm.hub import unreachable
from chiasm.whole import write_json

CONFIG = "config.json"
WEIGHTS = "*.safetensors"
_CONFIGURATIONS = (CONFIG, "*processor_config.json", f"{WEIGHTS}.index.json")


@dataclass(frozen=True)
class Checkpoint:
    """The files of a published model."""

    name: str
    """Name in settings: ``owner/name`` or ``owner/name/subfolder`` of the hub; or the absolute path
    of a folder, so that it can be found again from elsewhere.
    """
    setting: str
    """Setting that named it, for messages."""
    folder: Path
    revision: str | None
    """Commit of the hub's repository; none for a local folder."""

    @property
    def kind(self) -> str | None:
        """Class or type of the model in its configuration."""
        content = self.read_json(CONFIG)
        return content.get("_class_name", content.get("model_type"))

    @property
    def where(self) -> str:
        """Description in messages."""
        return f"{errors.setting(self.setting)} = {self.name!r}"

    def unfit(self, why: str, remedy: str = "") -> UserError:
        """Returns the error about a checkpoint that cannot be used."""
        return UserError(why, setting=self.setting, value=self.name, remedy=remedy)

    def read_json(self, name: str) -> dict[str, Any]:
        """Returns the content of one of its JSON files.

        Raises:
            UserError: it is missing or unreadable.
        """
        try:
            content = json.loads((self.folder / name).read_text())
        except FileNotFoundError as error:
            raise self.unfit(
                f"has no {name} in {self.folder}",
                "copy the whole checkpoint, configurations and weights",
            ) from error
        except (OSError, ValueError) as error:
            raise UserError(f"{self.folder / name} cannot be read: {error}") from error
        if not isinstance(content, dict):
            raise UserError(f"{self.folder / name} holds no settings; copy the checkpoint again")
        return content

    def copy(self, folder: Path) -> None:
        """Writes what is read of it into a folder, as its library has it.

        Raises:
            OSError: the folder cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        for pattern in _CONFIGURATIONS:
            for path in self.folder.glob(pattern):
                content = self.read_json(path.name)
                content.pop("_name_or_path", None)  # where it was once loaded from
                write_json(folder / path.name, content)
        for path in self.folder.glob(WEIGHTS):
            shutil.copyfile(path, folder / path.name)

    def has(self, pattern: str) -> bool:
        """Returns whether a file of this name, or pattern of names, is there."""
        return any(self.folder.glob(pattern))


def find_checkpoint(name: str, setting: str, revision: str | None = None) -> Checkpoint:
    """Returns a folder of this name, or else the hub's repository: from the cache, or fetched once.

    ``name`` and ``setting`` are those of :class:`Checkpoint`; ``revision`` is the commit of the hub
    that a run began with, None the newest of the cache, or of the hub.

    Raises:
        UserError: it is not found, with what to fetch; or the folder lacks configuration or
            weights.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        found = Checkpoint(str(folder.resolve()), setting, folder.resolve(), None)
    elif re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*){1,2}", name) and not folder.parent.is_dir():
        found = _of_hub(name, setting, revision)
    else:
        raise UserError(
            "is neither a folder nor an id of the hub (owner/name, or owner/name/subfolder)",
            setting=setting,
            value=name,
        )
    found.read_json(CONFIG)
    if not found.has(WEIGHTS):
        raise found.unfit(
            f"has no weights in safetensors format in {found.folder}",
            "chiasm reads no other, since they can run code: fetch or convert them",
        )
    return found


def _of_hub(name: str, setting: str, revision: str | None) -> Checkpoint:
    from huggingface_hub import constants, snapshot_download  # slow to import, rarely needed
    from huggingface_hub.errors import LocalEntryNotFoundError

    owner, repository, *inside = name.split("/")
    hub_id = f"{owner}/{repository}"
    patterns = ["/".join([*inside, kind]) for kind in ("*.json", WEIGHTS)]

    def snapshot(local_files_only: bool) -> Checkpoint:
        found = snapshot_download(
            hub_id, revision=revision, allow_patterns=patterns, local_files_only=local_files_only
        )
        return Checkpoint(name, setting, Path(found, *inside), Path(found).name)

    try:
        cached = snapshot(local_files_only=True)
        if cached.has(CONFIG) and cached.has(WEIGHTS):
            return cached
    except LocalEntryNotFoundError:
        pass
    reason = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else unreachable()
    if not reason:
        try:
            return snapshot(local_files_only=False)
        except Exception as error:  # no such name, no permission, a lost network: many types
            reason = first_line(error)
    options = "".join(f" --include '{pattern}'" for pattern in patterns)
    options += f" --revision {revision}" if revision else ""
    raise UserError(
        f"is no folder here, not in the hub's cache ({constants.HF_HUB_CACHE}, which HF_HOME "
        f"moves), and cannot be fetched: {reason}. Where there is a network, run: hf download "
        f"{hub_id}{options}",
        setting=setting,
        value=name,
        remedy="then copy that cache here, or add --local-dir FOLDER, copy the folder, and set "
        f"{errors.setting(setting)} to it",
    )


@contextmanager
def reading_weights(checkpoint: Checkpoint) -> Iterator[None]:
    """Turns a library's errors, which may not name the checkpoint, into a UserError."""
    try:
        yield
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        said = first_line(error)
        if "ignore_mismatched_sizes" in said:  # an option that nobody set
            said = f"they have other shapes than its {CONFIG} says"
        raise UserError(
            f"the weights of {checkpoint.where} cannot be read: {said}. Fetch or copy the whole "
            "checkpoint again"
        ) from error


def load_autoencoder(kind: Any, checkpoint: Checkpoint) -> Any:
    """Returns an autoencoder of diffusers, of this class, in float32."""
    return kind.from_pretrained(
        checkpoint.folder,
        use_safetensors=True,
        local_files_only=True,
        low_cpu_mem_usage=False,  # what it is without accelerate, which is not needed
        torch_dtype=torch.float32,
    )


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Suppresses progress bars, and reports of the weights that a part of a model leaves unread."""
    from transformers.utils import logging  # slow to import; this is when it is needed

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
