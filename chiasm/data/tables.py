"""A user's folder, file, pattern or hub name → the tables to train on and to hold out.

Which files of a folder are read is decided by what they hold: those that have the columns that the
source needs. ``metadata.*`` comes before other tables, then the format that holds most bytes, and
pictures in folders come last. What was taken and what was left is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from chiasm.data.arrow_tables import open_arrow, open_hub
from chiasm.data.files import TEST, TRAIN, VALIDATION, Files, find_files, split_by_name
from chiasm.data.line_tables import Csv, Json, JsonLines, NoTable, Texts
from chiasm.data.picture_folder import PictureFolder, is_picture
from chiasm.data.table import Joined, Table
from chiasm.data.tars import Tar
from chiasm.errors import UserError

_OPEN_ONE: dict[str, Callable[[Path], Table]] = {
    ".jsonl": JsonLines,
    ".ndjson": JsonLines,
    ".json": Json,
    ".csv": partial(Csv, delimiter=","),
    ".tsv": partial(Csv, delimiter="\t"),
    ".tar": Tar,
}
_TYPED = {".parquet": "parquet", ".arrow": "arrow"}
_FORMS = "metadata.jsonl, .jsonl, .json, .csv, .tsv, .parquet, .arrow, .tar or .txt files"
_PICTURES = "pictures"
_SHOWN_NAMES = 3

Fits = Callable[[Table], bool]
"""Whether a table has what a source needs."""


@dataclass(frozen=True)
class Tables:
    """What a source reads."""

    train: Table
    held_out: Table | None
    """None where nothing says which rows are held out: a share of the others is."""
    root: Path
    notes: tuple[str, ...]
    """What was left unread, and by which rule rows are held out, in words."""


@dataclass(frozen=True)
class _Candidate:
    """Files of one format in a folder."""

    form: str
    files: tuple[Path, ...]

    def open(self, files: Sequence[Path], found: Files) -> Table:
        """The table in some of its files."""
        if self.form == _PICTURES:
            return PictureFolder(found.root, files, found.data)
        if self.form == ".txt":
            return Texts(files)
        if self.form in _TYPED:
            return open_arrow(files, _TYPED[self.form])
        tables = [_OPEN_ONE[self.form](file) for file in files]
        return tables[0] if len(tables) == 1 else Joined(tables)


def open_tables(
    path: str, setting: str, fits: Fits, *, held_out_path: str = "", texts: bool = False
) -> Tables:
    """Open what the path names.

    Args:
        path: a folder, a file, a pattern, or a dataset's name on the hub.
        setting: the setting to blame.
        fits: whether a table has the columns that are needed.
        held_out_path: what is held out, in the same forms; empty: what names say.
        texts: plain text files count as tables.

    Raises:
        UserError: nothing there, nothing readable in it, or a file that is cut off or malformed.
    """
    found = find_files(path, setting)
    if found is None:
        return _of_hub(path, setting, held_out_path)
    chosen, table = _choose(found, path, setting, fits, texts)
    files = table.files if chosen.form != _PICTURES else chosen.files
    split = split_by_name(found.root, files, setting, by_file=chosen.form != _PICTURES)
    notes = [_left(found, chosen, table)]
    held_out = None
    train = split.train
    if held_out_path:
        where = f"{setting.removesuffix('path')}held_out_path"
        own = open_tables(held_out_path, where, fits, texts=texts)
        held_out = own.train if own.held_out is None else own.held_out
        train = tuple(file for file in train if file not in set(held_out.files))
        notes += [f"held out: {_names(found, held_out.files)} (held_out_path)"]
    elif split.held_out:
        held_out = chosen.open(split.held_out, found)
        notes += [f"held out by name: {_names(found, split.held_out)}"]
        notes += [f"not read: {_names(found, split.left)}"] if split.left else []
    if set(train) != set(files):
        table = chosen.open(train, found) if train else table
    for side in (table, held_out):
        if side is not None and not len(side):
            raise UserError(f"{setting} = {path!r} holds no rows")
    return Tables(table, held_out, found.root, tuple(note for note in notes if note))


def _of_hub(path: str, setting: str, held_out_path: str) -> Tables:
    if _looks_local(path):
        raise UserError(_absence(path, setting))
    if held_out_path:
        raise UserError(
            f"{setting.removesuffix('path')}held_out_path = {held_out_path!r} stands beside a name "
            "of the hub, whose own splits are held out; leave it out, or fetch the files"
        )
    splits = open_hub(path, setting)
    train = splits.get(TRAIN) or next(iter(splits.values()))
    name = next((name for name in (VALIDATION, TEST) if name in splits and TRAIN in splits), None)
    notes = (f"held out: the split {name!r} of the hub's dataset",) if name else ()
    return Tables(train, splits[name] if name else None, Path(), notes)


def _choose(
    found: Files, path: str, setting: str, fits: Fits, texts: bool
) -> tuple[_Candidate, Table]:
    """The format of which some files fit, and the table of those; else the first, which does not.

    Of a format with a table for each file, the files that do not fit are left.
    """
    first: tuple[_Candidate, Table] | None = None
    reasons: list[NoTable] = []
    for candidate in _candidates(found, texts):
        try:
            table = _fitting(candidate, found, fits, path, setting)
        except NoTable as reason:
            reasons.append(reason)
            continue
        if fits(table):
            return candidate, table
        first = first or (candidate, table)
    if first:
        return first
    if reasons:
        raise UserError(f"{setting} = {path!r} cannot be read: {reasons[0]}")
    raise UserError(
        f"{setting} = {path!r} holds nothing that can be read; give a folder with {_FORMS}, or "
        "pictures"
    )


def _fitting(candidate: _Candidate, found: Files, fits: Fits, path: str, setting: str) -> Table:
    try:
        if candidate.form not in _OPEN_ONE or len(candidate.files) == 1:
            return candidate.open(candidate.files, found)
        tables = list(_readable(candidate))
        own = [table for table in tables if fits(table)] or tables
        return own[0] if len(own) == 1 else Joined(own)
    except NoTable:
        raise
    except UserError as error:
        raise UserError(f"{setting} = {path!r}: {error}") from error


def _readable(candidate: _Candidate) -> Iterator[Table]:
    reasons = []
    for file in candidate.files:
        try:
            yield _OPEN_ONE[candidate.form](file)
        except NoTable as reason:
            reasons.append(reason)
    if len(reasons) == len(candidate.files):
        raise reasons[0]


def _candidates(found: Files, texts: bool) -> list[_Candidate]:
    """Formats in the order in which they are tried."""
    by_form: dict[str, list[Path]] = {}
    for file in found.data:
        suffix = file.suffix.lower()
        if suffix in _OPEN_ONE or suffix in _TYPED or (texts and suffix == ".txt"):
            by_form.setdefault(suffix, []).append(file)
        elif is_picture(file):
            by_form.setdefault(_PICTURES, []).append(file)
    pictures = by_form.pop(_PICTURES, [])
    metadata = []
    for form, files in by_form.items():
        own = [file for file in files if file.stem == "metadata"]
        own = [file for file in own if file.parent == found.root] or own
        if own and form != ".txt":
            metadata.append(_Candidate(form, tuple(own)))
    tables = [_Candidate(form, tuple(files)) for form, files in by_form.items()]
    tables.sort(key=lambda each: -sum(file.stat().st_size for file in each.files))
    return [*metadata, *tables] + [_Candidate(_PICTURES, tuple(pictures))] * bool(pictures)


def _left(found: Files, chosen: _Candidate, table: Table) -> str:
    """What else could have been read, in words."""
    read = set(table.files)
    if isinstance(table, PictureFolder):
        read.update(table.sidecars)
    others = [
        file
        for file in found.data
        if file not in read
        and not is_picture(file)
        and (file.suffix.lower() in (*_OPEN_ONE, *_TYPED, ".txt", ".caption", ".gz", ".tgz"))
    ]
    return f"left: {_names(found, (*others, *found.left))}" if others or found.left else ""


def _names(found: Files, files: Sequence[Path]) -> str:
    def name(file: Path) -> str:
        inside = file.is_relative_to(found.root)
        return file.relative_to(found.root).as_posix() if inside else str(file)

    shown = ", ".join(name(file) for file in files[:_SHOWN_NAMES])
    more = len(files) - _SHOWN_NAMES
    return f"{shown} and {more} more" if more > 0 else shown


def _looks_local(path: str) -> bool:
    """The hub's names are ``owner/name``."""
    return path.startswith(("/", "~", ".")) or "./" in path or path.count("/") != 1


def _absence(path: str, setting: str) -> str:
    message = f"{setting} = {path!r} does not exist: no such file or folder"
    if path.startswith("~"):
        return f"{message}; write the home folder in full, ~ is not expanded here"
    return message if Path(path).is_absolute() else f"{message} in {Path.cwd()}"


def choose_column(table: Table, setting: str, wanted: str, usual: tuple[str, ...]) -> str:
    """Returns the wanted column, or the first usual one that the table has.

    Raises:
        UserError: no such column; the message lists those there are.
    """
    for name in (wanted,) if wanted else usual:
        if name in table.columns:
            return name
    available = ", ".join(table.columns)
    if wanted:
        raise UserError(f"{setting} = {wanted!r} is no column; there are: {available}")
    raise UserError(
        f"{setting} is not set and no column has a usual name ({', '.join(usual)}); "
        f"choose one of: {available}"
    )
