"""One named source: its settings, and what opening it found."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pydantic import Field

from chiasm.data.navigation import TrajectorySettings
from chiasm.data.survey import told
from chiasm.documents import Source
from chiasm.errors import UserError, setting
from chiasm.settings import Settings

_SHOWN_FILES = 20


class SourceSettings(Settings):
    """One named source of a run."""

    kind: Literal["world", "text", "image_text", "vqa", "trajectories"]
    """The embedded world, or users' files: texts, picture and text, question and answer, recorded
    walks with poses."""
    weight: float = Field(1.0, gt=0)
    """Share of the positions, relative to the other sources' weights."""
    task: str = ""
    """world: which of its tasks (text, image_text, video, action_video, vqa, instructions);
    trajectories: video or action_video."""
    path: str = ""
    """Other kinds: a folder, a file, a pattern (``data/train-*.parquet``), or a dataset's name on
    the hub."""
    held_out_path: str = ""
    """Other kinds: what is held out, in the same forms; empty: files that are held out by their
    names, and where there are none a share."""
    image_column: str = ""
    """Column with pictures (paths, bytes or files); empty: the first with a usual name."""
    text_column: str = ""
    """Column with the text or caption; empty: the first with a usual name."""
    question_column: str = "question"
    """vqa: column with the question."""
    answer_column: str = "answer"
    """vqa: column with the answer."""
    group_column: str = ""
    """Column with what rows belong to (an original of many copies, a speaker, a scene): a group is
    held out as a whole, and is one cluster of standard errors; empty: the picture, or the text."""
    document_characters: int = Field(0, ge=0)
    """text: longer texts are cut at paragraphs or lines; 0: twice the positions of a row."""
    held_out_fraction: float = Field(0.05, gt=0, lt=1)
    """Share that training never sees, chosen by a hash of the group, the picture's file or the
    text; of trajectories, whole ones. The world holds out whole maps instead. Not read where files
    are held out."""
    trajectories: TrajectorySettings = TrajectorySettings()
    """trajectories: which frames make a document."""


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
        if (differing := _leaking(source, before))
    ]


def _leaking(measured: SourceSettings, trained: SourceSettings) -> str:
    """The setting by which the one holds out what the other trains on, or nothing."""
    if "world" in (measured.kind, trained.kind) or measured.held_out_path or trained.held_out_path:
        return ""
    hashes = [_HASHES.get(each.kind, each.kind) for each in (measured, trained)]
    paths = [os.path.abspath(each.path) for each in (measured, trained)]
    if not measured.path or hashes[0] != hashes[1] or paths[0] != paths[1]:
        return ""
    if measured.group_column != trained.group_column:
        return "group_column"
    if measured.kind == "text" and measured.document_characters != trained.document_characters:
        return "document_characters"
    larger = measured.held_out_fraction > trained.held_out_fraction
    return "held_out_fraction" if larger else ""


_HASHES = {"image_text": "pictures", "vqa": "pictures"}
"""Kinds whose documents are held out by the same hashes."""


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
    """The same for the held-out side, where it has files of its own."""
    fingerprint: str = ""
    """Hash of everything that the documents are made of; empty for the embedded world, which its
    settings determine."""

    def summary(self) -> dict[str, Any]:
        """All of it, JSON-able, with the first few files alone."""
        files = [*self.files[:_SHOWN_FILES], *(["..."] * (len(self.files) > _SHOWN_FILES))]
        return asdict(self) | {"files": files}

    def line(self, name: str) -> str:
        """One line for the terminal."""
        if self.kind == "world":
            documents = f"{self.documents:,} documents of the embedded world"
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
