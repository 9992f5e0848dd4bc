"""A user's folder, file, pattern or hub name → training and held-out tables.

Of a folder, the files with the columns that the source needs are read. Formats are tried in this
order: ``metadata.*`` files if documents have pictures, then the formats by their number of bytes,
pictures in folders last; of videos likewise. Notes report what was read and what was left.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from chiasm.data.arrow_tables import open_arrow, open_hub
from chiasm.data.files import TEST, TRAIN, VALIDATION, Files, find_files, shown_name, split_by_name
from chiasm.data.line_tables import Csv, JsonLines, NoTable, Texts, open_json
from chiasm.data.picture_folder import CAPTION_SUFFIXES, PictureFolder, is_picture
from chiasm.data.table import Joined, Table
from chiasm.data.tars import Tar
from chiasm.errors import UserError, setting

_OPEN_ONE: dict[str, Callable[[Path], Table]] = {
    ".jsonl": JsonLines,
    ".ndjson": JsonLines,
    ".json": open_json,
    ".csv": Csv,
    ".tsv": partial(Csv, delimiter="\t"),
    ".parquet": open_arrow,
    ".arrow": open_arrow,
    ".tar": Tar,
}
_COMPRESSED = frozenset((".gz", ".tgz", ".zip", ".zst", ".bz2", ".xz", ".7z", ".rar", ".lz4"))
_FORMS = "metadata.jsonl, .jsonl, .json, .csv, .tsv, .parquet, .arrow, .tar or .txt files"
_PICTURES = "pictures"
_NOUNS = {"image": "pictures", "video": "videos"}
_SHOWN_NAMES = 3

Fits = Callable[[Table], bool]
"""Predicate: whether a table has the columns that a source needs."""


@dataclass(frozen=True)
class Tables:
    """The tables that a source reads."""

    train: Table
    held_out: Table | None
    """None if no path or name defines it: a share of ``train`` is held out then."""
    root: Path
    notes: tuple[str, ...]
    """What was not read, and by which rule rows are held out, in words."""


@dataclass(frozen=True)
class _Chosen:
    """The files of a path that are read, as one table."""

    found: Files
    form: str
    table: Table
    media: str

    @property
    def by_file(self) -> bool:
        """Whether names of files may define splits: those of pictures never do."""
        return self.form != _PICTURES


def open_tables(
    path: str, fits: Fits, *, held_out_path: str = "", texts: bool = False, media: str = "image"
) -> Tables:
    """Returns the opened tables of a path.

    Args:
        path: a folder, a file, a pattern, or a dataset's name on the hub.
        fits: whether a table has the needed columns.
        held_out_path: held-out files, in the same forms; empty: by names.
        texts: whether plain text files count as tables.
        media: which files are rows by themselves: image or video.

    Raises:
        UserError: the path does not exist or has nothing readable, or a file is malformed.
    """
    found = find_files(path)
    if found is None:
        return _of_hub(path, "path", beside=held_out_path)
    chosen = _choose(found, path, "path", fits, texts, media)
    table = chosen.table
    split = split_by_name(found.root, table.files, by_file=chosen.by_file)
    notes = [_left(chosen), "" if texts else _without_row(chosen)]
    held_out, train, unread = None, split.train, split.left
    if not train:
        raise UserError(
            "holds files to validate and to test on, and none to train on "
            f"({_names(found, split.held_out)})",
            setting="path",
            value=path,
            remedy=f"name the file to train on with {setting('path')}, and the one to hold out "
            f"with {setting('held_out_path')}",
        )
    if held_out_path:
        held_out = _open_held_out(held_out_path, fits, texts, media)
        same = {_place(file) for file in held_out.files}
        train = tuple(file for file in train if _place(file) not in same)
        unread = tuple(f for f in (*split.held_out, *split.left) if _place(f) not in same)
        if not train:
            where = f"{setting('held_out_path')} = {held_out_path!r}"
            why = f"has no file to train on that {where} does not hold out"
            raise UserError(why, setting="path", value=path, remedy="give other files")
        notes += [f"held out: {_names(found, held_out.files)} (held_out_path)"]
    elif split.held_out:
        held_out = table.of_files(set(split.held_out))
        notes += [f"held out by name: {_names(found, split.held_out)}"]
    if split.doubtful and not held_out_path:
        notes += [f"trained on whatever it is called: {', '.join(split.doubtful[:_SHOWN_NAMES])}"]
    notes += [f"not read: {_names(found, unread)}"] if unread else []
    if len(train) < len(table.files):
        table = table.of_files(set(train))
    for side, own in ((table, ""), (held_out, held_out_path)):
        if side is not None and not len(side):
            blamed = "path" if side is table else "held_out_path"
            raise UserError("holds no rows", setting=blamed, value=own or path)
    return Tables(table, held_out, found.root, tuple(note for note in notes if note))


def _open_held_out(path: str, fits: Fits, texts: bool, media: str) -> Table:
    """Returns all rows of the path, or only its split that is held out by name, if it has one."""
    found = find_files(path, "held_out_path")
    if found is None:
        of_hub = _of_hub(path, "held_out_path")
        return of_hub.held_out or of_hub.train
    chosen = _choose(found, path, "held_out_path", fits, texts, media)
    split = split_by_name(found.root, chosen.table.files, by_file=chosen.by_file)
    return chosen.table.of_files(set(split.held_out)) if split.held_out else chosen.table


def _of_hub(path: str, blamed: str, *, beside: str = "") -> Tables:
    if _looks_local(path):
        raise UserError(_absence(path), setting=blamed, value=path)
    if beside:
        raise UserError(
            f"stands beside {setting(blamed)} = {path!r}, a name of the hub, whose own splits are "
            "held out",
            setting="held_out_path",
            remedy="leave it out, or fetch the files",
        )
    splits = open_hub(path, blamed)
    trained = TRAIN if TRAIN in splits else next(iter(splits))
    name = next((name for name in (VALIDATION, TEST) if name in splits and TRAIN in splits), None)
    notes = [f"held out: the split {name!r} of the hub's dataset"] if name else []
    notes += [f"trained on the split {trained!r}: none is called train"] * (trained != TRAIN)
    unread = [repr(split) for split in splits if split not in (trained, name)]
    notes += [f"not read: {', '.join(unread)}"] if unread else []
    return Tables(splits[trained], splits[name] if name else None, Path(), tuple(notes))


def _choose(found: Files, path: str, blamed: str, fits: Fits, texts: bool, media: str) -> _Chosen:
    """Returns the first format with files that fit, and their table; else the first of all.

    Of a format with a table per file, files that do not fit are left out.
    """
    wrong = partial(UserError, setting=blamed, value=path)
    first: _Chosen | None = None
    reasons: list[NoTable] = []
    for form, files in _candidates(found, texts, media):
        try:
            chosen = _Chosen(found, form, _open(found, form, files, fits, media), media)
        except NoTable as reason:
            reasons.append(reason)
            continue
        except OSError as error:
            raise wrong(f": {error.filename} cannot be read: {error.strerror}") from error
        except UserError as error:
            raise wrong(f": {error}") from error
        if fits(chosen.table):
            return chosen
        first = first or chosen
    if first:
        return first
    if reasons:
        raise wrong(f"cannot be read: {reasons[0]}")
    compressed = [file for file in found.data if file.suffix.lower() in _COMPRESSED]
    if compressed:
        why = f"holds compressed files ({_names(found, compressed)}), which are not read"
        raise wrong(why, remedy="unpack them first")
    raise wrong(
        "holds nothing that can be read", remedy=f"give a folder with {_FORMS}, or {_NOUNS[media]}"
    )


def _open(found: Files, form: str, files: Sequence[Path], fits: Fits, media: str) -> Table:
    if form == _PICTURES:
        return PictureFolder(found.root, files, found.data, media)
    if form == ".txt":
        return Texts(files)
    tables = list(_readable(form, files))
    own = [table for table in tables if fits(table)] or tables
    return own[0] if len(own) == 1 else Joined(own)


def _readable(form: str, files: Sequence[Path]) -> Iterator[Table]:
    reasons = []
    for file in files:
        try:
            yield _OPEN_ONE[form](file)
        except NoTable as reason:
            reasons.append(reason)
    if len(reasons) == len(files):
        raise reasons[0]


def _candidates(found: Files, texts: bool, media: str) -> list[tuple[str, list[Path]]]:
    """Returns formats and their files, in the order in which they are tried."""
    by_form: dict[str, list[Path]] = {}
    for file in found.data:
        suffix = file.suffix.lower()
        if suffix in _OPEN_ONE or (texts and suffix == ".txt"):
            by_form.setdefault(suffix, []).append(file)
        elif is_picture(file, media):
            by_form.setdefault(_PICTURES, []).append(file)
    pictures = by_form.pop(_PICTURES, [])
    metadata = []
    for form, files in by_form.items() if not texts else ():  # of texts, it may have titles only
        own = [file for file in files if file.stem == "metadata"]
        own = [file for file in own if file.parent == found.root] or own
        if own:
            metadata.append((form, own))
    tables = sorted(by_form.items(), key=lambda each: -sum(f.stat().st_size for f in each[1]))
    if texts:  # the names of labels are no texts
        pictures = []
    return [*metadata, *tables] + [(_PICTURES, pictures)] * bool(pictures)


def _left(chosen: _Chosen) -> str:
    """Returns a note about files that could have been read too."""
    found, table = chosen.found, chosen.table
    read = set(table.files)
    if isinstance(table, PictureFolder):
        read.update(table.sidecars)
    readable = {*_OPEN_ONE, *_COMPRESSED, *CAPTION_SUFFIXES}
    left = [f for f in found.data if f not in read and f.suffix.lower() in readable]
    left += found.left
    return f"left: {_names(found, left)}" if left else ""


def _without_row(chosen: _Chosen) -> str:
    """Returns a note about pictures without a row, a lower bound of their number."""
    own = sum(is_picture(file, chosen.media) for file in chosen.found.data)
    more = own - len(chosen.table)
    return f"{more:,} {_NOUNS[chosen.media]} have no row" if more > 0 else ""


def _names(found: Files, files: Sequence[Path]) -> str:
    shown = ", ".join(shown_name(file, found.root) for file in files[:_SHOWN_NAMES])
    more = len(files) - _SHOWN_NAMES
    return f"{shown} and {more} more" if more > 0 else shown


def _place(file: Path) -> tuple[int, int]:
    """Returns device and inode: equal for one file under several names."""
    found = os.stat(file)
    return found.st_dev, found.st_ino


def _looks_local(path: str) -> bool:
    """Returns whether a path cannot be a name on the hub, ``owner/name``."""
    return path.startswith(("/", "~", ".")) or "./" in path or path.count("/") != 1


def _absence(path: str) -> str:
    message = "does not exist: no such file or folder"
    if path.startswith("~"):
        return f"{message}; write the home folder in full, ~ is not expanded here"
    return message if Path(path).is_absolute() else f"{message} in {Path.cwd()}"


def choose_column(table: Table, setting: str, wanted: str, usual: tuple[str, ...] = ()) -> str:
    """Returns the column that a setting names, or the first usual one in the table.

    Raises:
        UserError: no such column; the message lists those that exist.
    """
    for name in (wanted,) if wanted else usual:
        if name in table.columns:
            return name
    available = ", ".join(table.columns)
    if wanted:
        there = f"there are: {available}"
        raise UserError("is no column", setting=setting, value=wanted, remedy=there)
    why = f"is not set and no column has a usual name ({', '.join(usual)})"
    raise UserError(why, setting=setting, remedy=f"choose one of: {available}")
