"""One named source: its settings, and what opening it found.

A kind of source is a class of settings that is registered and opens itself; those of this package
stand in ``kinds.py``, ``recorded.py`` and the like, anyone else's in a module that a recipe
names in ``imports``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import Field

from chiasm.actions import ActionFormat
from chiasm.capabilities import ActionVideos
from chiasm.data.preparation import Stage, default_cache_folder, silent
from chiasm.data.survey import told
from chiasm.documents import Source
from chiasm.errors import UserError, setting
from chiasm.registry import Registry
from chiasm.settings import Settings

Made = TypeVar("Made")

_SHOWN_FILES = 20


@dataclass(frozen=True)
class Opening:
    """What opening a source needs of its run."""

    sequence_length: int = 512
    actions: ActionFormat = field(default_factory=ActionFormat)
    """How steps are written, where a source has any."""
    tables: Mapping[str, Settings] = field(default_factory=dict)
    """The recipe's tables that several sources share, by name: ``world``."""
    cache_folder: Path = field(default_factory=default_cache_folder)
    """Where what is made once is kept."""
    on_stage: Stage = silent
    """Is told how far slow preparations are."""
    processes: int = field(default_factory=lambda: os.cpu_count() or 1)
    """That may render."""
    _shared: dict[Hashable, Any] = field(default_factory=dict, compare=False)

    def once(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """Returns what several sources share, made by the first that asks."""
        if key not in self._shared:
            self._shared[key] = make()
        made: Made = self._shared[key]
        return made


@dataclass(frozen=True)
class Steps:
    """What a source's documents with steps between their views are like."""

    views: int
    """Of the longest."""
    horizon_frames: tuple[int, int] = (1, 1)
    """Nearest and farthest next view."""
    spoken: bool = False
    """Whether sentences say what is done, and not numbers."""
    stretch: int | None = None
    """Of sentences: how many views a document has; None: the whole way."""


class SourceSettings(Settings):
    """The base of every kind's settings: what all sources have, and what they are asked."""

    kind: str
    """Which registered class these settings are of."""
    weight: float = Field(1.0, gt=0)
    """Share of the positions, relative to the other sources' weights."""

    is_made: ClassVar[bool] = False
    """Whether opening makes the data, which takes long: other sources are opened first."""

    @property
    def has_pictures(self) -> bool:
        """Whether its documents show any."""
        return True

    @property
    def paths(self) -> tuple[str, ...]:
        """Users' files that the documents are made of."""
        return ()

    def check(self) -> None:
        """Refuses settings that no single one of them can know to be wrong.

        Raises:
            UserError: one is missing, or two contradict each other.
        """

    def open(self, name: str, opening: Opening) -> Opened:
        """Returns both sides.

        Raises:
            UserError: they cannot be opened.
        """
        raise self.error("kind", f"has no open() in {type(self).__name__}", "define it")

    def open_pictures(
        self, name: str, opening: Opening, *, side: tuple[str, int], captioned: bool
    ) -> Opened:
        """Returns both sides for a tokenizer to learn from, which may read no words.

        Args:
            name: for messages.
            opening: of the training.
            side: name and value of the setting that says to which squares pictures are cut.
            captioned: words are read too.

        Raises:
            UserError: as :meth:`open`, or it has no pictures.
        """
        if not self.has_pictures:
            raise self.error("kind", "has no pictures", "name another")
        return self.open(name, opening)

    def open_views(self, name: str, opening: Opening) -> ActionVideos | None:
        """Returns held-out views to begin walks with; None where it has no walks."""
        return None

    def steps(self, tables: Mapping[str, Settings]) -> Steps | None:
        """Returns what its steps are like; None where documents have none."""
        return None

    def leak_into(self, trained: SourceSettings) -> str:
        """Returns the setting by which it holds out what ``trained`` trains on, or nothing."""
        return ""


SOURCES = Registry[SourceSettings]("source")


def check_task(source: SourceSettings, task: str, tasks: Sequence[str]) -> None:
    """Refuses a task that a kind of source has not.

    Raises:
        UserError: it is none of ``tasks``.
    """
    if task not in tasks:
        why = f"is no task of kind {source.kind!r}"
        raise source.error("task", why, f"choose one of {', '.join(tasks)}")


def leaks(
    trained: Mapping[str, SourceSettings], measured: Mapping[str, SourceSettings]
) -> list[UserError]:
    """Measured sources that hold out documents of the same files which training reads.

    Hashes of content decide what is held out: of the same files a smaller share is a part of a
    larger one, and what a larger share adds was trained on.

    Returns an error for each, of the table of measured sources.
    """
    return [
        source.error(
            differing,
            f": stream.sources.{other} reads the same files with {getattr(before, differing)!r} "
            "and trains on documents that would count as held out",
            f"make them equal, or name files of their own with {setting('held_out_path')}",
        ).under(name)
        for name, source in measured.items()
        for other, before in trained.items()
        if (differing := source.leak_into(before))
    ]


class FileSettings(SourceSettings):
    """The base of kinds that read users' files."""

    path: str = ""
    """A folder, a file, a pattern (``data/train-*.parquet``), or a dataset's name on the hub."""
    held_out_path: str = ""
    """What is held out, in the same forms; empty: files that are held out by their names, and
    where there are none a share."""
    held_out_fraction: float = Field(0.05, gt=0, lt=1)
    """Share that training never sees, chosen by a hash of the group, the picture's file or the
    text; of trajectories, whole ones. Not read where files are held out."""

    held_out_by: ClassVar[str]
    """What is hashed; kinds of equal hashes hold out the same of one folder."""
    shares: ClassVar[tuple[str, ...]] = ()
    """Settings that change what is held out, beside the fraction."""

    @property
    def paths(self) -> tuple[str, ...]:
        """What is read, and what is held out."""
        return self.path, self.held_out_path

    def check(self) -> None:
        """Refuses a missing path.

        Raises:
            UserError: it is missing.
        """
        if not self.path:
            raise UserError("is missing", setting="path", remedy="name the folder to read")

    def leak_into(self, trained: SourceSettings) -> str:
        """Returns the setting by which it holds out what ``trained`` trains on, or nothing."""
        if not isinstance(trained, FileSettings) or self.held_out_by != trained.held_out_by:
            return ""
        if not self.path or self.held_out_path or trained.held_out_path:
            return ""
        if os.path.abspath(self.path) != os.path.abspath(trained.path):
            return ""
        for name in self.shares:
            if getattr(self, name) != getattr(trained, name):
                return name
        larger = self.held_out_fraction > trained.held_out_fraction
        return "held_out_fraction" if larger else ""


@dataclass(frozen=True)
class SourceFacts:
    """What was found under a source's path."""

    kind: str
    rows: int
    """Rows of the table, pictures of the folder, frames of the trajectories."""
    documents: int
    """That can be used, on both sides."""
    held_out: int
    """Documents that training never sees."""
    files: tuple[str, ...] = ()
    """Those that were read, relative to the path."""
    column: str = ""
    """Where the text comes from; of questions, both columns."""
    image_column: str = ""
    skipped: dict[str, int] = field(default_factory=dict)
    """Rows that cannot be used, by reason."""
    repeated: int = 0
    """Documents to train on that are held out too: training leaves them out."""
    notes: tuple[str, ...] = ()
    """How the held-out side was chosen, and what was left unread."""
    held_out_fingerprint: str = ""
    """As ``fingerprint``, for the held-out side where it has files of its own."""
    fingerprint: str = ""
    """Hash of everything that the documents are made of; empty where the settings determine it.
    A run that is continued refuses another one."""
    origin: str = ""
    """Of documents that no file holds: what they are made from."""

    def summary(self) -> dict[str, Any]:
        """All of it, JSON-able, with the first few files alone."""
        files = [*self.files[:_SHOWN_FILES], *(["..."] * (len(self.files) > _SHOWN_FILES))]
        return asdict(self) | {"files": files}

    def line(self, name: str) -> str:
        """One line for the terminal."""
        if self.origin:
            documents = f"{self.documents:,} documents of {self.origin}"
            return f"{name}: {documents}, {self.held_out:,} of them held out"
        read = f" in {self.files[0]}" if len(self.files) == 1 else ""
        read = f" in {len(self.files):,} files" if len(self.files) > 1 else read
        pictures = f", pictures from {self.image_column!r}" if self.image_column else ""
        words = f", words from {self.column!r}" if self.column else ""
        skipped = f"; rows skipped: {told(self.skipped)}" if self.skipped else ""
        notes = "".join(f"; {note}" for note in self.notes)
        if self.repeated:
            notes += f"; {self.repeated:,} documents on both sides are not trained on"
        return (
            f"{name}: {self.rows:,} rows{read}{pictures}{words} -> {self.documents:,} documents, "
            f"{self.held_out:,} of them held out{skipped}{notes}"
        )


@dataclass(frozen=True)
class Opened:
    """Both sides of one source."""

    train: Source
    held_out: Source
    facts: SourceFacts

    def side(self, split: str) -> Source:
        """The one of that name: train or held_out."""
        return self.held_out if split == "held_out" else self.train
