"""Users' files opened: the tables of a path, their documents, and which of them are held out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from chiasm.data.columns import Columns, TableSettings
from chiasm.data.files import shown_name
from chiasm.data.folders import FolderSource, PictureSource, Selection
from chiasm.data.source import Opened, Opening, SourceFacts
from chiasm.data.survey import draw
from chiasm.data.table import Table
from chiasm.data.tables import Tables, open_tables
from chiasm.errors import UserError


def open_table(
    name: str, settings: TableSettings, opening: Opening, *, pictures_alone: bool = False
) -> Opened:
    """Returns both sides of a source of users' tables.

    Raises:
        UserError: the path cannot be read, a column is not there, or a side has no documents.
    """
    where = f"stream.sources.{name}"
    columns = Columns(where, settings, pictures_alone)
    tables = open_tables(
        settings.path,
        f"{where}.path",
        columns.are_in,
        held_out_path=settings.held_out_path,
        texts=not settings.has_pictures,
    )
    documents = _Documents(name, columns, tables.root, opening.row_positions)
    try:
        whole = documents.of(tables.train)
    except UserError as error:  # what was left unread may be what was meant
        unread = "; ".join(tables.notes)
        raise UserError(f"{error}{unread and f' ({unread})'}") from error
    if tables.held_out is None:
        return _held_out_by_share(documents, whole, tables)
    return _held_out_by_files(documents, whole, documents.of(tables.held_out), tables)


@dataclass(frozen=True)
class _Documents:
    """How rows become documents."""

    name: str
    columns: Columns
    root: Path
    row_positions: int

    def of(self, table: Table) -> FolderSource:
        """The documents of a table.

        Raises:
            UserError: a column is missing or cannot be used, or most rows cannot.
        """
        where = self.columns.where
        try:
            source = self._of(table)
        except UserError as error:
            known = str(error).startswith(where)
            raise UserError(str(error) if known else f"{where}: {error}") from error
        source.survey.refuse_absurd(where)
        return source

    def _of(self, table: Table) -> FolderSource:
        columns, settings = self.columns, self.columns.settings
        own: dict[str, Any] = {"root": self.root, "group_column": columns.group(table)}
        columns.refuse_pictures_alone(table)
        if columns.pictures_alone:
            return PictureSource(self.name, table, columns.image(table), **own)
        return settings.source_of(self.name, table, columns, self.row_positions, **own)

    def facts(self, table: Table, source: FolderSource, notes: tuple[str, ...]) -> SourceFacts:
        """What is told of a table; how many documents, is not known yet."""
        columns = self.columns
        return SourceFacts(
            kind=columns.settings.kind,
            rows=len(table),
            documents=0,
            held_out=0,
            files=tuple(shown_name(file, self.root) for file in table.files),
            column=columns.words(table),
            image_column=columns.image(table),
            skipped=source.survey.skipped,
            notes=(*notes, "the column 'split' is not read") if "split" in table.columns else notes,
            fingerprint=source.survey.fingerprint,
        )


def _held_out_by_share(documents: _Documents, source: FolderSource, tables: Tables) -> Opened:
    """Held out is what has the smallest hashes, at least one."""
    fraction = documents.columns.settings.held_out_fraction
    identities = source.identities
    usable = identities >= 0
    smallest = identities[usable].min(initial=np.iinfo(np.int64).max)
    held_out = (draw(identities) < fraction) | (identities == smallest)
    train, other = (
        Selection(source, np.flatnonzero(usable & side)) for side in (~held_out, held_out)
    )
    if not len(train):
        number = len(np.unique(identities[usable]))
        less = (
            ", or a smaller fraction"
            if number > 1
            else ", or name what is held out with held_out_path"
        )
        raise UserError(
            f"{documents.columns.where}.held_out_fraction = {fraction} leaves nothing to train on "
            f"beside at least one held-out document: the data hold {number} different; give more"
            f"{less}"
        )
    facts = documents.facts(tables.train, source, tables.notes)
    known = replace(facts, documents=len(train) + len(other), held_out=len(other))
    return Opened(train, other, known)


def _held_out_by_files(
    documents: _Documents, train: FolderSource, held_out: FolderSource, tables: Tables
) -> Opened:
    """Held out are all rows of their own files; what occurs there too leaves training."""
    assert tables.held_out is not None
    of_train, of_held_out = train.identities, held_out.identities
    repeated = np.isin(of_train, of_held_out[of_held_out >= 0])
    kept = np.flatnonzero((of_train >= 0) & ~repeated)
    measured = np.flatnonzero(of_held_out >= 0)
    if not len(kept):
        raise UserError(
            f"{documents.columns.where}.held_out_path leaves nothing to train on: "
            f"{int(repeated.sum())} of {len(of_train)} documents of path are held out too; name "
            "other files, or leave held_out_path out to hold out a share"
        )
    if not len(measured):
        raise UserError(f"{documents.columns.where}.held_out_path has no document to measure on")
    facts = documents.facts(tables.train, train, tables.notes)
    other = documents.facts(tables.held_out, held_out, ())
    other_words = other.column != facts.column
    skipped = dict(facts.skipped)
    for reason, count in other.skipped.items():
        skipped[reason] = skipped.get(reason, 0) + count
    return Opened(
        Selection(train, kept),
        Selection(held_out, measured),
        replace(
            facts,
            rows=facts.rows + other.rows,
            documents=len(kept) + len(measured),
            held_out=len(measured),
            repeated=int(repeated.sum()),
            files=facts.files + other.files,
            skipped=skipped,
            notes=(
                *facts.notes,
                *([f"held out are words from {other.column!r}"] if other_words else []),
            ),
            held_out_fingerprint=other.fingerprint,
        ),
    )
