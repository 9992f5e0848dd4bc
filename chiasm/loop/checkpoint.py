"""Training state on disk: a run killed at any moment resumes as if uninterrupted.

A checkpoint is a folder ``step-0000100/``: tensors as `torch.distributed.checkpoint` writes them,
``progress.json`` (step, stream position, counters) and ``manifest.json`` (xxh3 hash of every
other file). A folder of that name was complete when it was renamed, and the manifest verifies that
it still is.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import xxhash
from torch import Tensor

from chiasm.errors import UserError, first_line
from chiasm.whole import whole

_COMPLETE = re.compile(r"step-(\d{7})$")


class DamagedError(Exception):
    """A checkpoint that differs from what was written; the message says how."""


class Checkpoints:
    """The checkpoints of one run: the newest ``keep`` of them stay in ``folder``.

    ``identity`` is a hash of everything that determines the numbers; checkpoints of another one are
    refused.
    """

    def __init__(
        self, folder: Path, keep: int, tell: Callable[[str], None], identity: str = ""
    ) -> None:
        self.folder = folder
        self.keep = keep
        self.tell = tell
        self.identity = identity
        folder.mkdir(parents=True, exist_ok=True)

    def steps(self) -> list[int]:
        """Returns the steps of the complete checkpoints, oldest first."""
        names = (_COMPLETE.match(path.name) for path in self.folder.iterdir())
        return sorted(int(match[1]) for match in names if match)

    def path(self, step: int) -> Path:
        """Returns the folder of the checkpoint after ``step`` steps."""
        return self.folder / f"step-{step:07d}"

    def save(self, step: int, tensors: dict[str, Any], progress: dict[str, Any]) -> Path:
        """Writes a checkpoint and removes all but the newest ``keep``; returns its folder.

        ``tensors`` may be nested, with plain values among them; ``progress`` must be JSON-able.

        Raises:
            UserError: the disk is full or the write fails; earlier checkpoints stay as they are.
        """
        # Here, because its import takes as long as torch's and whoever reads a model needs none.
        import torch.distributed.checkpoint as dcp
        from torch.distributed.checkpoint.api import CheckpointException

        content = json.dumps({"identity": self.identity, "progress": progress})
        try:
            with whole(self.path(step)) as aside, _single_process():
                dcp.save(tensors, storage_writer=dcp.FileSystemWriter(aside), no_dist=True)
                (aside / "progress.json").write_text(content)
                (aside / "manifest.json").write_text(json.dumps(_manifest(aside)))
        except (OSError, RuntimeError, CheckpointException) as error:
            raise UserError(self._cannot_write(step, tensors, error)) from error
        for old in self.steps()[: -self.keep]:
            leaving = self.path(old).with_suffix(".partial")
            # Renamed before it is deleted: a kill in between leaves no damaged checkpoint.
            os.replace(self.path(old), leaving)
            shutil.rmtree(leaving)
        return self.path(step)

    def restore(self, tensors: dict[str, Any], added: str = "") -> dict[str, Any] | None:
        """Loads the newest undamaged checkpoint into ``tensors``, in place.

        What was written under the name ``added`` is added, whatever it holds.
        Half-written ones are removed, damaged ones renamed to ``.damaged``; both are reported.
        Returns the checkpoint's progress, or None if there is no checkpoint at all.

        Raises:
            UserError: there are checkpoints, and all are damaged, or the newest undamaged one is of
                another identity.
        """
        for partial in sorted(self.folder.glob("step-*.partial")):
            self.tell(f"ignored the half-written checkpoint {partial.name} and removed it")
            shutil.rmtree(partial)
        steps = self.steps()
        for step in reversed(steps):
            try:
                return self._load(self.path(step), tensors, added)
            except DamagedError as error:
                aside = self.path(step).with_suffix(".damaged")
                shutil.rmtree(aside, ignore_errors=True)
                os.replace(self.path(step), aside)
                self.tell(
                    f"checkpoint {self.path(step)} is damaged ({error}); "
                    f"set aside as {aside.name}, falling back to the one before"
                )
        if steps:
            raise UserError(
                f"every checkpoint in {self.folder} is damaged; start the run again with --fresh"
            )
        return None

    def _load(self, path: Path, tensors: dict[str, Any], added: str) -> dict[str, Any]:
        import torch.distributed.checkpoint as dcp
        from torch.distributed.checkpoint.api import CheckpointException
        from torch.distributed.checkpoint.state_dict_loader import _load_state_dict_from_keys

        _verify(path)
        try:
            content: dict[str, Any] = json.loads((path / "progress.json").read_text())
            if content["identity"] == self.identity:
                reader = dcp.FileSystemReader(path)
                with _single_process():
                    dcp.load(tensors, storage_reader=reader, no_dist=True)
                    if added:
                        tensors |= _load_state_dict_from_keys(added, storage_reader=reader)
                return content["progress"]
        except (Exception, CheckpointException) as error:
            raise DamagedError(first_line(error)) from error
        raise UserError(
            f"{path} was written by a run with other settings or data; train into another folder "
            "or delete it to start again"
        )

    def _cannot_write(self, step: int, tensors: dict[str, Any], error: BaseException) -> str:
        free_bytes, needed_bytes = shutil.disk_usage(self.folder).free, _num_bytes(tensors)
        steps = self.steps()
        intact = f"intact up to step {steps[-1]}" if steps else "none so far"
        cause = "the disk is full" if free_bytes < needed_bytes else first_line(error)
        return (
            f"the checkpoint of step {step} cannot be written to {self.folder}: {cause} "
            f"({needed_bytes / 2**20:.1f} MiB needed, {free_bytes / 2**20:.1f} MiB free). "
            f"Earlier checkpoints: {intact}. Make room and run the same command again to go on"
        )


def _manifest(folder: Path) -> dict[str, str]:
    """Returns the hash of every file by its name."""
    hashes = {}
    for path in sorted(folder.iterdir()):
        with path.open("rb") as file:
            hashes[path.name] = hashlib.file_digest(file, xxhash.xxh3_64).hexdigest()
    return hashes


def _verify(folder: Path) -> None:
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
    except (OSError, ValueError) as error:
        raise DamagedError(f"manifest.json: {error}") from error
    found = _manifest(folder)
    for name, written in manifest.items():
        if name not in found:
            raise DamagedError(f"{name} is missing")
        if found[name] != written:
            raise DamagedError(f"{name} differs from what was written")


def _num_bytes(tree: Any) -> int:
    if isinstance(tree, Tensor):
        return tree.nbytes
    if isinstance(tree, dict):
        return sum(_num_bytes(value) for value in tree.values())
    return 0


@contextmanager
def _single_process() -> Iterator[None]:
    """Silences torch's warning that no process group was started, which is intended here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is")
        yield
