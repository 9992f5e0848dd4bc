"""Training state on disk: a run killed at any moment resumes as if uninterrupted.

A checkpoint is a folder ``step-0000100/``: tensors as `torch.distributed.checkpoint` writes them,
``progress.json`` (step, stream position, counters) and ``manifest.json`` (xxh3 hash of every
other file). A folder of that name was complete when it was renamed, and the manifest verifies that
it still is. Several ranks write one checkpoint together, each its own files, and any number of them
reads it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from chiasm.errors import UserError, first_line
from chiasm.loop.manifest import DamagedError, hashes, verify, write_manifest
from chiasm.ranks import ALONE, Ranks, is_loss
from chiasm.whole import whole

_COMPLETE = re.compile(r"step-(\d{7})$")


Empty = Callable[[tuple[str, ...], torch.Size, torch.dtype], Tensor]
"""Returns a tensor for what a checkpoint holds under nested names, of this shape and type."""


class Checkpoints:
    """The checkpoints of one run: the newest ``keep`` of them stay in ``folder``, and those whose
    steps ``stays`` is true of.

    ``identity`` is a hash of everything that determines the numbers; checkpoints of another one are
    refused. All ranks of ``ranks`` save and restore together, in a folder that all of them see.
    """

    def __init__(
        self,
        folder: Path,
        keep: int,
        tell: Callable[[str], None],
        identity: str = "",
        ranks: Ranks = ALONE,
        stays: Callable[[int], bool] = lambda step: False,
    ) -> None:
        self.folder = folder
        self.keep, self.stays = keep, stays
        self.tell = tell
        self.identity = identity
        self.ranks = ranks.aside
        self._pool = ThreadPoolExecutor(1, "checkpoints")
        self._writing: Future[None] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def steps(self) -> list[int]:
        """Returns the steps of the complete checkpoints, oldest first."""
        names = (_COMPLETE.match(path.name) for path in self.folder.iterdir())
        return sorted(int(match[1]) for match in names if match)

    def path(self, step: int) -> Path:
        """Returns the folder of the checkpoint after ``step`` steps."""
        return self.folder / f"step-{step:07d}"

    def save(
        self,
        step: int,
        tensors: dict[str, Any],
        progress: dict[str, Any],
        *,
        background: bool = False,
    ) -> Path:
        """Writes a checkpoint and removes all but the newest ``keep``; returns its folder.

        ``tensors`` may be nested, with plain values among them, and split over ranks; ``progress``,
        the first rank's, must be JSON-able. In the background a copy of the tensors is written
        while the caller goes on, one checkpoint at a time.

        Raises:
            UserError: the disk is full or the write fails, this one's or, in the background, the
                one's before; earlier checkpoints stay as they are.
        """
        self.wait()
        if background:
            self._writing = self._pool.submit(self._write, step, self._copy(tensors), progress)
        else:
            self._write(step, tensors, progress)
        return self.path(step)

    def wait(self) -> None:
        """Waits for the checkpoint that is written in the background.

        Raises:
            UserError: the write failed.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    @cached_property
    def _copy(self) -> Callable[[dict[str, Any]], dict[str, Any]]:
        """Copies tensors into the host's memory, again and again the same."""
        from torch.distributed.checkpoint.staging import DefaultStager, StagingOptions

        pinned = torch.cuda.is_available()
        stager: Any = DefaultStager(StagingOptions(pinned, False, False, False))
        return stager.stage

    def _write(self, step: int, tensors: dict[str, Any], progress: dict[str, Any]) -> None:
        # Here, because its import takes as long as torch's and whoever reads a model needs none.
        import torch.distributed.checkpoint as dcp

        path, ranks = self.path(step), self.ranks
        aside = path.with_name(f"{path.name}.partial")
        with ExitStack() as made:
            with self._together(step, tensors):
                if ranks.is_first:
                    made.enter_context(whole(path)).mkdir()
            with self._together(step, tensors), _quiet():  # a failure of one rank is told to all
                dcp.save(tensors, storage_writer=dcp.FileSystemWriter(aside), **self._group)
                own = hashes(aside.glob(f"__{ranks.rank}_*"))
            written = ranks.gather(own)
            with self._together(step, tensors):
                if ranks.is_first:
                    self._finish(aside, progress, written)
                    made.close()
                    self._remove_old()

    @contextmanager
    def _together(self, step: int, tensors: dict[str, Any]) -> Iterator[None]:
        """As :meth:`Ranks.together`; what a disk refuses to one rank is the user's to mend."""
        from torch.distributed.checkpoint.api import CheckpointException

        with self.ranks.together():
            try:
                yield
            except (OSError, RuntimeError, CheckpointException) as error:
                if is_loss(error):
                    raise
                raise UserError(self._cannot_write(step, tensors, error)) from error

    def _finish(self, aside: Path, progress: dict[str, Any], written: list[dict[str, str]]) -> None:
        content = json.dumps({"identity": self.identity, "progress": progress})
        (aside / "progress.json").write_text(content)
        own = hashes([aside / "progress.json", aside / ".metadata"])
        write_manifest(aside, (own, *written))

    def _remove_old(self) -> None:
        passing = [step for step in self.steps() if not self.stays(step)]
        for old in passing[: -self.keep]:
            leaving = self.path(old).with_suffix(".partial")
            # Renamed before it is deleted: a kill in between leaves no damaged checkpoint.
            os.replace(self.path(old), leaving)
            shutil.rmtree(leaving)

    @property
    def _group(self) -> dict[str, Any]:
        """Who takes part, as torch's functions are told."""
        if self.ranks.size == 1:
            return {"no_dist": True}
        return {"process_group": self.ranks.files}

    def restore(
        self, tensors: dict[str, Any], added: str = "", empty: Empty | None = None
    ) -> dict[str, Any] | None:
        """Loads the newest undamaged checkpoint into ``tensors``, in place.

        What was written under the name ``added`` is added, whatever it holds: its tensors are read
        into those that ``empty`` makes.
        Half-written ones are removed, damaged ones renamed to ``.damaged``; both are reported.
        Returns the checkpoint's progress, or None if there is no checkpoint at all.

        Raises:
            UserError: there are checkpoints, and all are damaged, or the newest undamaged one is of
                another identity.
        """
        while True:
            newest = None
            with self.ranks.together():
                if self.ranks.is_first:
                    newest = self._newest()
            newest = self.ranks.gather(newest)[0]
            if newest is None:
                return None
            try:
                return self._load(self.path(newest), tensors, added, empty)
            except DamagedError as error:
                with self.ranks.together():
                    if self.ranks.is_first:
                        self._set_aside(self.path(newest), error)

    def _newest(self) -> int | None:
        """Returns the step of the newest checkpoint whose files are those that were written."""
        for partial in sorted(self.folder.glob("step-*.partial")):
            self.tell(f"ignored the half-written checkpoint {partial.name} and removed it")
            shutil.rmtree(partial)
        for step in reversed(self.steps()):
            try:
                verify(self.path(step))
                return step
            except DamagedError as error:
                self._set_aside(self.path(step), error)
        if any(self.folder.glob("step-*.damaged")):
            raise UserError(
                f"every checkpoint in {self.folder} is damaged; start the run again with --fresh"
            )
        return None

    def _set_aside(self, path: Path, error: DamagedError) -> None:
        aside = path.with_suffix(".damaged")
        shutil.rmtree(aside, ignore_errors=True)
        os.replace(path, aside)
        self.tell(
            f"checkpoint {path} is damaged ({error}); "
            f"set aside as {aside.name}, falling back to the one before"
        )

    def _load(
        self, path: Path, tensors: dict[str, Any], added: str, empty: Empty | None
    ) -> dict[str, Any]:
        import torch.distributed.checkpoint as dcp
        from torch.distributed.checkpoint.api import CheckpointException

        try:
            content: dict[str, Any] = json.loads((path / "progress.json").read_text())
            if content["identity"] == self.identity:
                reader = dcp.FileSystemReader(path)
                if added:
                    tensors[added] = _made(reader, added, empty or _plain).get(added, {})
                with _quiet():
                    dcp.load(tensors, storage_reader=reader, **self._group)
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
        failures = list(getattr(error, "failures", {}).values())  # by rank, with their traces
        first = failures[0][0] if failures else error
        cause = "the disk is full" if free_bytes < needed_bytes else first_line(first)
        return (
            f"the checkpoint of step {step} cannot be written to {self.folder}: {cause} "
            f"({needed_bytes / 2**20:.1f} MiB needed, {free_bytes / 2**20:.1f} MiB free). "
            f"Earlier checkpoints: {intact}. Make room and run the same command again to go on"
        )


def _plain(names: tuple[str, ...], shape: torch.Size, dtype: torch.dtype) -> Tensor:
    return torch.empty(shape, dtype=dtype)


def _made(reader: Any, added: str, empty: Empty) -> dict[str, Any]:
    """Returns the nested dictionaries of what was written under a name, for its content."""
    from torch.distributed.checkpoint.metadata import TensorStorageMetadata

    metadata = reader.read_metadata()
    made: dict[str, Any] = {}
    for key, names in metadata.planner_data.items():
        if names[0] != added:
            continue
        there, inner = metadata.state_dict_metadata[key], made
        for name in names[:-1]:
            inner = inner.setdefault(name, {})
        of_tensor = isinstance(there, TensorStorageMetadata)
        inner[names[-1]] = empty(names, there.size, there.properties.dtype) if of_tensor else None
    return made


def _num_bytes(tree: Any) -> int:
    if isinstance(tree, Tensor):
        return tree.nbytes
    if isinstance(tree, dict):
        return sum(_num_bytes(value) for value in tree.values())
    return 0


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences torch's warning that no process group was started, which is intended for one."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is")
        yield
