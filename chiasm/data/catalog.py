"""Episodes of catalogs: tables with a picture and controls in each row, such as drives of a car.

Rows of one session are put in order of time. Where the time between two of them is longer than
usual, or a row cannot be used, an episode ends: nothing leads across a gap.

Shape suffixes: R rows in order, A controls.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import xxhash

from chiasm.controls import ControlSettings
from chiasm.data.catalog_rows import (
    CatalogColumns,
    CatalogRow,
    ColumnNames,
    catalog_rows,
    column_names,
    open_catalog,
    stored_picture,
)
from chiasm.data.episodes import Episode, RecordedControl, Recordings, usable_controls
from chiasm.data.files import shown_name
from chiasm.data.survey import READING
from chiasm.data.table import Table
from chiasm.errors import UserError
from chiasm.rgb import Given

_OTHER_RATE = 1.2
"""Ratio of the rates of two sessions from which on it is told."""
_HASHED_PICTURES = 4096
"""Pictures whose content is part of a fingerprint; of the others the size is."""


class _Pictures(Sequence[Given]):
    """The pictures of rows; those in a table are read when they are asked for."""

    def __init__(self, table: Table, column: str, rows: Sequence[CatalogRow]) -> None:
        self._table, self._column = table, column
        self._rows = [(row.number, row.picture) for row in rows]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> Given:  # type: ignore[override]
        row, file = self._rows[number]
        return file or stored_picture(
            self._table, self._table.row(row, self._column), row, self._column
        )


def read_catalog(
    path: str,
    settings: CatalogColumns,
    controls: Mapping[str, RecordedControl],
    ranges: Mapping[str, ControlSettings],
) -> Recordings:
    """Returns all episodes under a path.

    Raises:
        UserError: nothing can be read, or a column is missing; the message lists those that exist.
    """
    train, held_out, root, notes = open_catalog(path, settings)
    found = _read(train, root, settings, controls, ranges)
    if held_out is None:
        return replace(found, notes=(*notes, *found.notes))
    other = _read(held_out, root, settings, controls, ranges)
    aside = tuple(replace(e, group=f"{e.group} of the held-out files") for e in other.episodes)
    return replace(
        found,
        episodes=(*found.episodes, *aside),
        rows=found.rows + other.rows,
        skipped=Counter(found.skipped) + Counter(other.skipped),
        notes=(*notes, *found.notes),
        files=(*found.files, *other.files),
        fingerprint=found.fingerprint + other.fingerprint,
        held_out=frozenset(episode.group for episode in aside),
    )


def _read(
    table: Table,
    root: Path,
    settings: CatalogColumns,
    controls: Mapping[str, RecordedControl],
    ranges: Mapping[str, ControlSettings],
) -> Recordings:
    columns = column_names(table, settings, controls)
    skipped = Counter[str]()
    rows = list(catalog_rows(table, columns, skipped))
    factors = [own.factor for own in controls.values()]
    recorded_RA = np.array([row.recorded for row in rows], float).reshape(len(rows), len(factors))
    usable_RA = usable_controls(recorded_RA * factors, list(controls), ranges, skipped)
    sessions = _sessions(rows, columns, settings.largest_gap)
    episodes = [
        Episode(
            f"{session.name or 'rows'} {rows[stretch[0]].number} to {rows[stretch[-1]].number}",
            _Pictures(table, columns.image, [rows[number] for number in stretch]),
            usable_RA[stretch],
            _identity(table, columns, [rows[number] for number in stretch]),
            session.name,
        )
        for session in sessions
        for stretch in _stretches(rows, session)
    ]
    intervals = [session.interval for session in sessions if session.interval]
    return Recordings(
        tuple(episodes),
        len(table),
        dict(skipped),
        _notes(columns, sessions, len(episodes)),
        tuple(shown_name(file, root) for file in table.files),
        _fingerprint(table, columns, rows),
        1e9 / float(np.median(intervals)) if intervals else None,
        read_from=columns.image,
    )


@dataclass(frozen=True)
class _Session:
    """Rows of one session in order of time."""

    name: str
    numbers: list[int]
    between: np.ndarray
    """Nanoseconds between neighbours, int64."""
    interval: float
    """The median of them; 0 without times, and where there is one row."""
    longest: float
    """Nanoseconds; a longer time ends an episode."""


def _sessions(
    rows: Sequence[CatalogRow], columns: ColumnNames, largest_gap: float
) -> list[_Session]:
    """Returns the sessions, each with its own usual interval.

    Raises:
        UserError: many rows of a session have one time, as where several cameras share a table.
    """
    by_name: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        by_name.setdefault(row.session, []).append(number)
    found = []
    for name, numbers in by_name.items():
        numbers.sort(key=lambda number: rows[number].nanoseconds)
        between = np.diff(np.array([rows[n].nanoseconds for n in numbers], np.int64))
        if columns.time and 10 * (between == 0).sum() > len(between):
            raise UserError(
                f": {(between == 0).sum():,} rows of {columns.time!r} have the time of another one "
                "of the same session",
                setting="time_column",
                remedy="name a finer column, or with session_column one that tells cameras apart",
            )
        interval = float(np.median(between)) if columns.time and len(between) else 0.0
        longest = largest_gap * interval if interval else math.inf
        found.append(_Session(name, numbers, between, interval, longest))
    return found


def _stretches(rows: Sequence[CatalogRow], session: _Session) -> Iterator[list[int]]:
    """Yields the rows of each episode: it ends at a gap in time, and before an unusable row."""
    stretch: list[int] = []
    for number in session.numbers:
        if stretch:
            before, row, last = rows[stretch[-1]], rows[number], stretch[-1]
            lost = number > last and number - last != row.number - before.number
            if lost or row.nanoseconds - before.nanoseconds > session.longest:
                yield stretch
                stretch = []
        stretch.append(number)
    if stretch:
        yield stretch


def _identity(table: Table, columns: ColumnNames, rows: Sequence[CatalogRow]) -> bytes:
    """Returns a hash of an episode that is the same for every choice of pictures and controls.

    Without times that is not possible, and its first and last picture count.
    """
    whole = xxhash.xxh3_128()
    for row in rows:
        whole.update(f"{row.session} {row.nanoseconds}\0".encode())
    if not columns.time:
        for row in (rows[0], rows[-1]):
            whole.update(_content(table, columns, row))
    return whole.digest()


def _content(table: Table, columns: ColumnNames, row: CatalogRow) -> bytes:
    if row.picture is not None:
        return row.picture.read_bytes()
    found = stored_picture(table, table.row(row.number, columns.image), row.number, columns.image)
    assert isinstance(found, bytes)
    return found


def _fingerprint(table: Table, columns: ColumnNames, rows: Sequence[CatalogRow]) -> str:
    """Returns a hash of all rows, of names and sizes of pictures, and of evenly spread pictures."""
    whole = xxhash.xxh3_128(f"reading {READING}".encode())
    looked_at = set(np.linspace(0, len(rows) - 1, _HASHED_PICTURES).astype(int).tolist())
    for number, row in enumerate(rows):
        file = row.picture
        named = f"{file.name} {file.stat().st_size}" if file else ""
        whole.update(f"{row.session} {row.nanoseconds} {row.recorded} {named}\0".encode())
        if number in looked_at:
            whole.update(_content(table, columns, row))
    return whole.hexdigest()


def _notes(columns: ColumnNames, sessions: Sequence[_Session], episodes: int) -> tuple[str, ...]:
    many = _many(len(sessions), "session") if columns.session else "no column of sessions"
    intervals = [session.interval for session in sessions if session.interval]
    if not intervals:
        return (f"{many}; no column of times: rows count as evenly recorded",)
    gaps = sum(int((own.between > own.longest).sum()) for own in sessions)
    short = sum(int((own.between < own.interval / 2).sum()) for own in sessions)
    slowest, fastest = 1e9 / max(intervals), 1e9 / min(intervals)
    rates = f"{fastest:.3g}"
    if fastest > _OTHER_RATE * slowest:
        rates = f"{slowest:.3g} to {fastest:.3g}, so that one step is not like another,"
    return (
        f"{many}; {rates} rows a second by {columns.time!r}",
        f"{_many(gaps, 'gap')} at which an episode ends: {_many(episodes, 'episode')}",
        *([f"{_many(short, 'interval')} shorter than half of the usual one"] if short else []),
    )


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
