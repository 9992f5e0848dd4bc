"""Episodes of catalogs: tables with a picture and controls in each row, such as drives of a car.

Rows of one session are put in order of time. Where the time between two of them is longer than
usual, or a row cannot be used, an episode ends: nothing leads across a gap.

Shape suffixes: R rows in order, A controls.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
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
    sessions = _in_order(rows)
    interval = _usual_interval(rows, sessions, columns) if columns.time else 0
    longest = settings.largest_gap * interval if interval else math.inf
    episodes = [
        Episode(
            f"{name or 'rows'} {rows[stretch[0]].number} to {rows[stretch[-1]].number}",
            _Pictures(table, columns.image, [rows[number] for number in stretch]),
            usable_RA[stretch],
            _identity(table, columns, [rows[number] for number in stretch]),
            name,
        )
        for name, numbers in sessions.items()
        for stretch in _stretches(rows, numbers, longest)
    ]
    return Recordings(
        tuple(episodes),
        len(table),
        dict(skipped),
        _notes(columns, rows, sessions, interval, longest, len(episodes)),
        tuple(shown_name(file, root) for file in table.files),
        _fingerprint(table, columns, rows),
        1e9 / interval if interval else None,
        read_from=columns.image,
    )


def _in_order(rows: Sequence[CatalogRow]) -> dict[str, list[int]]:
    """Returns the numbers of the rows of each session, in order of time."""
    sessions: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        sessions.setdefault(row.session, []).append(number)
    for numbers in sessions.values():
        numbers.sort(key=lambda number: rows[number].nanoseconds)
    return sessions


def _intervals(rows: Sequence[CatalogRow], sessions: Mapping[str, Sequence[int]]) -> np.ndarray:
    """Returns the times between neighbours in all sessions, in ns: int64."""
    times = ([rows[number].nanoseconds for number in numbers] for numbers in sessions.values())
    parts = [np.diff(np.array(own, np.int64)) for own in times]
    return np.concatenate([*parts, np.zeros(0, np.int64)])


def _usual_interval(
    rows: Sequence[CatalogRow], sessions: Mapping[str, Sequence[int]], columns: ColumnNames
) -> float:
    """Returns the median time between rows, in ns; 0 where no session has two.

    Raises:
        UserError: many rows of a session have one time, as where several cameras share a table.
    """
    between = _intervals(rows, sessions)
    if 10 * (between == 0).sum() > len(between):
        why = f": {(between == 0).sum():,} rows of {columns.time!r} have the time of another one"
        raise UserError(
            f"{why} of the same session",
            setting="time_column",
            remedy="name a finer column, or with session_column one that tells cameras apart",
        )
    return float(np.median(between)) if len(between) else 0.0


def _stretches(
    rows: Sequence[CatalogRow], numbers: Sequence[int], longest: float
) -> Iterator[list[int]]:
    """Yields the rows of each episode: it ends at a gap in time, and before an unusable row."""
    stretch: list[int] = []
    for number in numbers:
        if stretch:
            before, row, last = rows[stretch[-1]], rows[number], stretch[-1]
            lost = number > last and number - last != row.number - before.number
            if lost or row.nanoseconds - before.nanoseconds > longest:
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


def _notes(
    columns: ColumnNames,
    rows: Sequence[CatalogRow],
    sessions: Mapping[str, Sequence[int]],
    interval: float,
    longest: float,
    episodes: int,
) -> tuple[str, ...]:
    many = _many(len(sessions), "session") if columns.session else "no column of sessions"
    if not columns.time:
        return (f"{many}; no column of times: rows count as evenly recorded",)
    between = _intervals(rows, sessions)
    gaps = int((between > longest).sum())
    short = int((between < interval / 2).sum())
    return (
        f"{many}; {1e9 / interval if interval else 0:.3g} rows a second by {columns.time!r}",
        f"{_many(gaps, 'gap')} of more than {longest / 1e6:.0f} ms, at which an episode ends: "
        f"{_many(episodes, 'episode')}",
        *([f"{_many(short, 'interval')} shorter than half of the usual one"] if short else []),
    )


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
