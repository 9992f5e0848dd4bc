"""Which files of a path a source reads, as one table.

Files with the columns that the source needs; formats are tried in this order: ``metadata.*`` files
if documents have pictures, then the formats by their number of bytes, pictures in folders last; of
videos and sounds likewise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from chiasm.data.files import Files, shown_name
from chiasm.data.formats import COMPRESSED, FORMS, form_of, open_one
from chiasm.data.index import Index
from chiasm.data.line_tables import NoTable, Texts
from chiasm.data.media import Medium
from chiasm.data.media_files import MediaFiles
from chiasm.data.media_folder import MediaFolder
from chiasm.data.storage import stamp
from chiasm.data.table import Joined, Table
from chiasm.errors import UserError

_TEXT = ".txt"
_LOOSE = "files that are rows by themselves"
_SHOWN_NAMES = 3


class Fits(Protocol):
    """Predicate: whether a table has the columns that a source needs."""

    def __call__(self, table: Table, files: MediaFiles) -> bool: ...


@dataclass(frozen=True)
class Wanted:
    """What a source reads: the arguments of :func:`open_tables`."""

    fits: Fits
    medium: Medium | None
    index: Index


@dataclass(frozen=True)
class Chosen:
    """The files of a path that are read, as one table."""

    found: Files
    form: str
    table: Table
    files: MediaFiles

    @property
    def by_file(self) -> bool:
        """Whether names of files may define splits: those of pictures and their like do not."""
        return self.form != _LOOSE


def choose(found: Files, path: str, blamed: str, wanted: Wanted) -> Chosen:
    """Returns the first format with files that fit, and their table; else the first of all.

    Of a format with a table per file, files that do not fit are left out.
    """
    wrong = partial(UserError, setting=blamed, value=path)
    first: Chosen | None = None
    medium = wanted.medium
    loose: list[Path] = []
    others: list[Path] = []
    for file in found.data:
        (loose if medium and medium.is_of(file) else others).append(file)
    named = MediaFiles(found.root, loose)
    suits = partial(wanted.fits, files=named)
    reasons: list[NoTable] = []
    for form, files in _candidates(found.root, others, loose, wanted):
        try:
            table = _open(found, form, files, suits, wanted)
            chosen = Chosen(found, form, table, named)
        except NoTable as reason:
            reasons.append(reason)
            continue
        except OSError as error:
            raise wrong(f": {error.filename} cannot be read: {error.strerror}") from error
        except UserError as error:
            raise wrong(f": {error}") from error
        if suits(chosen.table):
            return chosen
        first = first or chosen
    if first:
        return first
    if reasons:
        raise wrong(f"cannot be read: {reasons[0]}")
    compressed = [file for file in found.data if file.suffix.lower() in COMPRESSED]
    if compressed:
        why = f"holds compressed files ({few_names(found, compressed)}), which are not read"
        raise wrong(why, remedy="unpack them first")
    nouns = f", or {medium.nouns}" if medium else ""
    raise wrong("holds nothing that can be read", remedy=f"give a folder with {FORMS}{nouns}")


def _open(
    found: Files,
    form: str,
    files: Sequence[Path],
    suits: Callable[[Table], bool],
    wanted: Wanted,
) -> Table:
    if wanted.medium and form == _LOOSE:
        return MediaFolder(found.root, files, found.data, wanted.medium, wanted.index)
    if form == _TEXT:
        return Texts(files)
    tables = list(_readable(form, files, wanted.index))
    own = [table for table in tables if suits(table)] or tables
    return own[0] if len(own) == 1 else Joined(own)


def _readable(form: str, files: Sequence[Path], index: Index) -> Iterator[Table]:
    reasons = []
    for file in files:
        try:
            yield open_one(form, file, index)
        except NoTable as reason:
            reasons.append(reason)
    if len(reasons) == len(files):
        raise reasons[0]


def _candidates(
    root: Path, files: Sequence[Path], loose: Sequence[Path], wanted: Wanted
) -> list[tuple[str, Sequence[Path]]]:
    """Returns formats and their files, in the order in which they are tried."""
    by_form: dict[str, list[Path]] = {}
    for file in files:
        if wanted.medium is None and file.suffix.lower() == _TEXT:
            by_form.setdefault(_TEXT, []).append(file)
        elif form := form_of(file):
            by_form.setdefault(form, []).append(file)
    tables = list(by_form.items())
    if len(tables) > 1:
        tables.sort(key=lambda each: -sum(stamp(str(file))[0] for file in each[1]))
    if wanted.medium is None:  # metadata may have titles only
        return [*tables]
    metadata = []
    for form, own in by_form.items():
        named = [file for file in own if Path(file.name.removesuffix(".gz")).stem == "metadata"]
        named = [file for file in named if file.parent == root] or named
        if named:
            metadata.append((form, named))
    return [*metadata, *tables, *([(_LOOSE, loose)] if loose else [])]


def few_names(found: Files, files: Sequence[Path]) -> str:
    """Returns the names of the first files, and how many more there are."""
    shown = ", ".join(shown_name(file, found.root) for file in files[:_SHOWN_NAMES])
    more = len(files) - _SHOWN_NAMES
    return f"{shown} and {more} more" if more > 0 else shown
