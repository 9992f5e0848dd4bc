"""Tables opened: their documents split into training and held-out sides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from chiasm.data.folders import FolderSource
from chiasm.data.source import Opened, SourceFacts
from chiasm.data.survey import draw, told
from chiasm.data.table import Table
from chiasm.data.tables import Tables
from chiasm.errors import UserError

Read = Callable[[Table], tuple[FolderSource, SourceFacts]]
"""Reader of a table: its documents, and facts in which the numbers of documents are missing."""


def both_sides(tables: Tables, read: Read, held_out_fraction: float) -> Opened:
    """Returns both sides of a source of users' tables.

    Raises:
        UserError: ``read`` fails, or a side has no documents.
    """
    try:
        whole, facts = read(tables.train)
    except UserError as error:  # perhaps the user meant a file that was left unread
        unread = "; ".join(tables.notes)
        error.remedy += unread and f" ({unread})"
        raise
    facts = replace(facts, notes=(*tables.notes, *facts.notes))
    if tables.held_out is None:
        return _held_out_by_share(whole, facts, held_out_fraction)
    return _held_out_by_files(whole, facts, *read(tables.held_out))


def _held_out_by_share(source: FolderSource, facts: SourceFacts, fraction: float) -> Opened:
    """Holds out the documents with the smallest hashes, at least one identity."""
    identities = source.identities
    usable = identities >= 0
    smallest = identities[usable].min(initial=np.iinfo(np.int64).max)
    held_out = (draw(identities) < fraction) | (identities == smallest)
    train, other = (
        source.selected(np.flatnonzero(usable & side)) for side in (~held_out, held_out)
    )
    if not len(train):
        number = len(np.unique(identities[usable]))
        less = "a smaller fraction" if number > 1 else "name what is held out with held_out_path"
        skipped = facts.skipped and f" (rows skipped: {told(facts.skipped)})"
        raise UserError(
            "leaves nothing to train on beside at least one held-out document: the data hold "
            f"{number} different{skipped or ''}",
            setting="held_out_fraction",
            value=fraction,
            remedy=f"give more, or {less}",
        )
    known = replace(facts, documents=len(train) + len(other), held_out=len(other))
    return Opened(train, other, known)


def _held_out_by_files(
    train: FolderSource, facts: SourceFacts, held_out: FolderSource, other: SourceFacts
) -> Opened:
    """Holds out all rows of the held-out files; equal documents are left out of training."""
    of_train, of_held_out = train.identities, held_out.identities
    repeated = np.isin(of_train, of_held_out[of_held_out >= 0])
    kept = np.flatnonzero((of_train >= 0) & ~repeated)
    measured = np.flatnonzero(of_held_out >= 0)
    if not len(kept):
        raise UserError(
            f"leaves nothing to train on: {int(repeated.sum())} of {len(of_train)} documents of "
            "path are held out too",
            setting="held_out_path",
            remedy="name other files, or leave held_out_path out to hold out a share",
        )
    if not len(measured):
        raise UserError("has no document to measure on", setting="held_out_path")
    other_words = [f"held out are words from {other.column!r}"] * (other.column != facts.column)
    return Opened(
        train.selected(kept),
        held_out.selected(measured),
        replace(
            facts,
            rows=facts.rows + other.rows,
            documents=len(kept) + len(measured),
            held_out=len(measured),
            repeated=int(repeated.sum()),
            files=facts.files + other.files,
            skipped=dict(Counter(facts.skipped) + Counter(other.skipped)),
            unusable=(*facts.unusable, *other.unusable),
            notes=(*facts.notes, *other_words),
            held_out_fingerprint=other.fingerprint,
        ),
    )
