"""One named source: its settings, its two sides and facts about them.

A kind of source is a class of settings that is registered and opens itself; those of this package
stand in ``kinds.py``, ``recorded.py`` and the like, anyone else's in a module that a recipe
names in ``imports``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import Field

from chiasm.actions import ActionFormat
from chiasm.capabilities import ActionVideos
from chiasm.data.asking import Asking
from chiasm.data.index import Index
from chiasm.data.media import MEDIA, Medium
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
    """What a source needs of its run to be opened."""

    sequence_length: int = 512
    actions: ActionFormat = field(default_factory=ActionFormat)
    """Format of actions, for sources that have any."""
    tables: Mapping[str, Settings] = field(default_factory=dict)
    """Tables of the recipe that several sources share, by name: ``world``."""
    cache_folder: Path = field(default_factory=default_cache_folder)
    """Folder of results that are computed once."""
    on_stage: Stage = silent
    """Callback for the progress of slow preparations."""
    processes: int = field(default_factory=lambda: os.cpu_count() or 1)
    """Number of processes that may render."""
    _shared: dict[Hashable, Any] = field(default_factory=dict, compare=False)

    @property
    def index(self) -> Index:
        """What was found in files by earlier openings."""
        return Index(self.cache_folder / "index")

    def once(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """Returns an object that several sources share; the first call makes it."""
        if key not in self._shared:
            self._shared[key] = make()
        return self._shared[key]


@dataclass(frozen=True)
class Steps:
    """Shape of a source's documents with steps between their views."""

    views: int
    """Views of the longest document."""
    horizon_frames: tuple[int, int] = (1, 1)
    """Smallest and largest horizon to the next view."""
    spoken: bool = False
    """Whether steps are sentences instead of numbers."""
    controlled: bool = False
    """Whether steps are recorded controls, whose motion nothing tells."""
    inverse: bool = False
    """Whether a document is two given views, and then the step between them."""
    stretch: int | None = None
    """Views of a document with sentences; None: the whole path."""

    @property
    def posed(self) -> bool:
        """Whether steps are relative poses."""
        return not (self.spoken or self.controlled or self.inverse)


class SourceSettings(Settings):
    """The base of every kind's settings: what all sources have, and what they are asked."""

    kind: str
    """Which registered class these settings are of."""
    weight: float = Field(1.0, gt=0)
    """Share of the positions, relative to the other sources' weights."""
    license: str = ""
    """Of the data, such as ``cc-by-4.0``, for the card of an exported model."""

    usual_license: ClassVar[str] = ""
    """Of data that the kind knows."""
    is_made: ClassVar[bool] = False
    """Whether opening generates the data, which is slow: other sources are opened first."""

    @property
    def has_pictures(self) -> bool:
        """Whether its documents have pictures."""
        return True

    @property
    def prompts(self) -> Mapping[str, str]:
        """Prompts like its documents' by field of the demo page: write, ask, or what is drawn."""
        return {}

    @property
    def paths(self) -> tuple[str, ...]:
        """Paths of users' files that are read."""
        return ()

    @property
    def only_answers(self) -> bool:
        """Whether prompts (:attr:`chiasm.documents.Text.prompt`) are not learned."""
        return False

    @property
    def asked(self) -> tuple[Asking, ...]:
        """How a model of its documents is asked; of steps between views :meth:`steps` tells."""
        return ()

    def check(self) -> None:
        """Refuses, by a UserError, a missing setting or two that contradict each other."""

    def open(self, name: str, opening: Opening) -> Opened:
        """Returns both sides; raises a UserError where they cannot be opened."""
        raise self.error("kind", f"has no open() in {type(self).__name__}", "define it")

    def open_pictures(
        self, name: str, opening: Opening, *, side: tuple[str, int], captioned: bool
    ) -> Opened:
        """Returns both sides for the training of a vision tokenizer.

        Args:
            name, opening: as for :meth:`open`.
            side: name and value of the setting for the side of the squares cut from pictures.
            captioned: whether words are read too.

        Raises:
            UserError: as :meth:`open`, or it has no pictures.
        """
        if not self.has_pictures:
            raise self.error("kind", "has no pictures", "name another")
        return self.open(name, opening)

    def open_views(self, name: str, opening: Opening) -> ActionVideos | None:
        """Returns held-out views to start walks from; None if the source has no walks."""
        return None

    def steps(self, tables: Mapping[str, Settings]) -> Steps | None:
        """Returns the shape of its steps; None if its documents have none."""
        return None

    def leak_into(self, trained: SourceSettings) -> str:
        """Returns the setting that lets it hold out what ``trained`` trains on; else ``""``."""
        return ""


SOURCES = Registry[SourceSettings]("source")


def check_task(source: SourceSettings, task: str, tasks: Sequence[str]) -> None:
    """Refuses a task that a kind of source does not have.

    Raises:
        UserError: it is none of ``tasks``.
    """
    if task not in tasks:
        why = f"is no task of kind {source.kind!r}"
        raise source.error("task", why, f"choose one of {', '.join(tasks)}")


def leaks(
    trained: Mapping[str, SourceSettings], measured: Mapping[str, SourceSettings]
) -> list[UserError]:
    """Returns an error per measured source whose held-out documents another source trains on.

    Hashes of content decide what is held out: for the same files a smaller share is a subset of a
    larger one, and the difference is trained on. The errors' settings are relative to the table of
    measured sources.
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
    """A folder, a file, a pattern (``data/train-*.parquet``), a list in braces
    (``{0000..0127}.tar``), an address of tars, or a dataset's name on the hub."""
    held_out_path: str = ""
    """What is held out, in the same forms; empty: files that are held out by their names, and
    where there are none a share."""
    held_out_fraction: float = Field(0.05, gt=0, lt=1)
    """Share that training never sees, chosen by a hash of the group, the file or the text; of
    trajectories, whole ones. Not read where files are held out."""

    held_out_by: ClassVar[str]
    """What is hashed; kinds that hash the same hold out the same documents of one folder."""
    shares: ClassVar[tuple[str, ...]] = ()
    """Settings beside the fraction that change what is held out."""

    @property
    def paths(self) -> tuple[str, ...]:
        """Paths of training and held-out files."""
        return self.path, self.held_out_path

    def check(self) -> None:
        """Refuses a missing path, by a UserError."""
        if not self.path:
            raise UserError("is missing", setting="path", remedy="name the folder to read")

    def leak_into(self, trained: SourceSettings) -> str:
        """Returns the setting that lets it hold out what ``trained`` trains on; else ``""``."""
        if not isinstance(trained, FileSettings) or self.held_out_by != trained.held_out_by:
            return ""
        alone = self.path and not self.held_out_path and not trained.held_out_path
        if not alone or os.path.abspath(self.path) != os.path.abspath(trained.path):
            return ""
        for name in self.shares:
            if getattr(self, name) != getattr(trained, name):
                return name
        larger = self.held_out_fraction > trained.held_out_fraction
        return "held_out_fraction" if larger else ""


@dataclass(frozen=True)
class SourceFacts:
    """Facts about an opened source."""

    kind: str
    rows: int
    """Rows of the table, pictures of the folder, frames of the trajectories."""
    documents: int
    """Usable documents, on both sides."""
    held_out: int
    """Documents that training never sees."""
    files: tuple[str, ...] = ()
    """Files that were read, relative to the path."""
    column: str = ""
    """Columns of the text."""
    image_column: str = ""
    video_column: str = ""
    audio_column: str = ""
    skipped: dict[str, int] = field(default_factory=dict)
    """Number of unusable rows by reason."""
    unusable: tuple[str, ...] = ()
    """The first of them, with their reasons in full."""
    repeated: int = 0
    """Training documents left out because they are held out too."""
    notes: tuple[str, ...] = ()
    """How the held-out side was chosen, and what was not read."""
    held_out_fingerprint: str = ""
    """As ``fingerprint``, for a held-out side with files of its own."""
    fingerprint: str = ""
    """Hash of everything that the documents are made of; empty if the settings determine it. A
    resumed run refuses another one."""
    origin: str = ""
    """What documents are generated from; empty for those of files."""

    @property
    def files_columns(self) -> dict[str, str]:
        """Columns of pictures, videos and sounds, by what these are called."""
        own = {each.nouns: str(getattr(self, f"{each.column}_column")) for each in MEDIA}
        return {nouns: column for nouns, column in own.items() if column}

    def with_files(self, medium: Medium, column: str) -> SourceFacts:
        """Returns the facts with the column of the files of a medium."""
        return replace(self, **{f"{medium.column}_column": column})  # type: ignore[arg-type]

    def summary(self) -> dict[str, Any]:
        """Returns all facts, JSON-able, with the first few files only."""
        files = [*self.files[:_SHOWN_FILES], *(["..."] * (len(self.files) > _SHOWN_FILES))]
        return asdict(self) | {"files": files}

    def line(self, name: str) -> str:
        """Returns one line for the terminal."""
        if self.origin:
            held = f"{self.held_out:,} of them held out"
            return f"{name}: {self.documents:,} documents of {self.origin}, {held}"
        files = f"{len(self.files):,} files" if len(self.files) > 1 else "".join(self.files)
        read = f" in {files}" if files else ""
        media = "".join(f", {nouns} from {own!r}" for nouns, own in self.files_columns.items())
        words = f", words from {self.column!r}" if self.column else ""
        skipped = f"; rows skipped: {told(self.skipped)}" if self.skipped else ""
        notes = "".join(f"; {note}" for note in self.notes)
        if self.repeated:
            notes += f"; {self.repeated:,} documents on both sides are not trained on"
        return (
            f"{name}: {self.rows:,} rows{read}{media}{words} -> {self.documents:,} documents, "
            f"{self.held_out:,} of them held out{skipped}{notes}"
        )


@dataclass(frozen=True)
class Opened:
    """Both sides of one source, and facts about it."""

    train: Source
    held_out: Source
    facts: SourceFacts

    def side(self, split: str) -> Source:
        """Returns the side of that name: train or held_out."""
        return self.held_out if split == "held_out" else self.train
