"""A user's folder, file, pattern or hub name → training and held-out tables.

Notes report what was read and what was left.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from chiasm.data.arrow_tables import open_hub
from chiasm.data.choice import Chosen, Fits, Wanted, choose, few_names
from chiasm.data.files import find_files
from chiasm.data.formats import COMPRESSED, form_of
from chiasm.data.index import NO_INDEX, Index
from chiasm.data.media import MEDIA, Medium
from chiasm.data.media_files import MediaFiles
from chiasm.data.media_folder import CAPTION_SUFFIXES
from chiasm.data.splits import TEST, TRAIN, VALIDATION, split_by_name
from chiasm.data.storage import url_of
from chiasm.data.table import Table, head_of
from chiasm.errors import UserError, setting

_SHOWN = 1000
"""Letters of names of columns in a message."""


@dataclass(frozen=True)
class Tables:
    """The tables that a source reads."""

    train: Table
    held_out: Table | None
    """None if no path or name defines it: a share of ``train`` is held out then."""
    root: Path
    notes: tuple[str, ...]
    """What was not read, and by which rule rows are held out, in words."""
    files: MediaFiles
    """Finds the files that rows name."""


def open_tables(
    path: str,
    fits: Fits,
    *,
    medium: Medium | None,
    held_out_path: str = "",
    index: Index = NO_INDEX,
) -> Tables:
    """Returns the opened tables of a path.

    Args:
        path: a folder, a file, a pattern, or a dataset's name on the hub.
        fits: whether a table has the needed columns.
        medium: which files may be rows by themselves; None: plain texts.
        held_out_path: held-out files, in the same forms; empty: by names.
        index: knows what was found in unchanged files.

    Raises:
        UserError: the path does not exist or has nothing readable, or a file is malformed.
    """
    found = find_files(path)
    if found is None:
        return _of_hub(path, "path", beside=held_out_path)
    wanted = Wanted(fits, medium, index)
    chosen = choose(found, path, "path", wanted)
    table = chosen.table
    split = split_by_name(found.root, table.files, by_file=chosen.by_file)
    notes = [_left(chosen, medium), _without_row(chosen, medium)]
    held_out, train, unread = None, split.train, split.left
    if not train:
        raise UserError(
            "holds files to validate and to test on, and none to train on "
            f"({few_names(found, split.held_out)})",
            setting="path",
            value=path,
            remedy=f"name the file to train on with {setting('path')}, and the one to hold out "
            f"with {setting('held_out_path')}",
        )
    if held_out_path:
        held_out = _open_held_out(held_out_path, wanted)
        same = {_place(file) for file in held_out.files}
        train = tuple(file for file in train if _place(file) not in same)
        unread = tuple(f for f in (*split.held_out, *split.left) if _place(f) not in same)
        if not train:
            where = f"{setting('held_out_path')} = {held_out_path!r}"
            why = f"has no file to train on that {where} does not hold out"
            raise UserError(why, setting="path", value=path, remedy="give other files")
        notes += [f"held out: {few_names(found, held_out.files)} (held_out_path)"]
    elif split.held_out:
        held_out = table.of_files(set(split.held_out))
        notes += [f"held out by name: {few_names(found, split.held_out)}"]
    if split.doubtful and not held_out_path:
        notes += [f"trained on whatever it is called: {', '.join(split.doubtful[:3])}"]
    notes += [f"not read: {few_names(found, unread)}"] if unread else []
    if len(train) < len(table.files):
        table = table.of_files(set(train))
    for side, own in ((table, ""), (held_out, held_out_path)):
        if side is not None and not len(side):
            blamed = "path" if side is table else "held_out_path"
            raise UserError("holds no rows", setting=blamed, value=own or path)
    return Tables(table, held_out, found.root, tuple(filter(None, notes)), chosen.files)


def _open_held_out(path: str, wanted: Wanted) -> Table:
    """Returns all rows of the path, or only its split that is held out by name, if it has one."""
    found = find_files(path, "held_out_path")
    if found is None:
        of_hub = _of_hub(path, "held_out_path")
        return of_hub.held_out or of_hub.train
    chosen = choose(found, path, "held_out_path", wanted)
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
    held_out = splits[name] if name else None
    return Tables(splits[trained], held_out, Path(), tuple(notes), MediaFiles())


def _left(chosen: Chosen, medium: Medium | None) -> str:
    """Returns a note about files that could have been read too."""
    found, table = chosen.found, chosen.table
    read = {*map(str, table.files), *map(str, table.beside)}
    further = {*COMPRESSED, *CAPTION_SUFFIXES}
    others = (file for file in found.data if str(file) not in read)
    others = (file for file in others if not (medium and medium.is_of(file)))
    left = [file for file in others if form_of(file) or file.suffix.lower() in further]
    left += found.left
    return f"left: {few_names(found, left)}" if left else ""


def _without_row(chosen: Chosen, medium: Medium | None) -> str:
    """Returns a note about pictures and their like without a row, a lower bound of their number."""
    more = len(chosen.files) - len(chosen.table)
    return f"{more:,} {medium.nouns} have no row" if medium and more > 0 else ""


def _place(file: Path) -> tuple[int, int] | str:
    """Returns device and inode, equal for one file under several names; else the address."""
    if url := url_of(file):
        return url
    found = os.stat(file)
    return found.st_dev, found.st_ino


def _looks_local(path: str) -> bool:
    """Returns whether a path is no name on the hub, ``owner/name``, but one of files."""
    if path.startswith(("/", "~", ".")) or "./" in path or path.count("/") != 1:
        return True
    file = Path(path)
    return bool(form_of(file)) or any(medium.is_of(file) for medium in MEDIA)


def _absence(path: str) -> str:
    message = "does not exist: no such file or folder"
    if path.startswith("~"):
        return f"{message}; write the home folder in full, ~ is not expanded here"
    missing = [parent for parent in Path(path).parents if not parent.is_dir()]
    first = f" (there is no folder {missing[-1]})" if missing else ""
    return f"{message}{'' if Path(path).is_absolute() else f' in {Path.cwd()}'}{first}"


def shown(columns: Iterable[str]) -> str:
    """Returns the names of columns for a message, which tables may have thousands of."""
    told = ", ".join(columns)
    return told if len(told) <= _SHOWN else f"{told[:_SHOWN]}..."


def choose_column(table: Table, setting: str, wanted: str, usual: tuple[str, ...] = ()) -> str:
    """Returns the column that a setting names, or the first usual one in the table.

    Raises:
        UserError: no such column; the message lists those that exist.
    """
    for name in (wanted,) if wanted else usual:
        if name in table.columns:
            return name
    if wanted and head_of(wanted, table.columns) in table.columns:
        return wanted  # of an entry in its cells
    available = shown(table.columns)
    if wanted:
        there = f"there are: {available}"
        raise UserError("is no column", setting=setting, value=wanted, remedy=there)
    why = f"is not set and no column has a usual name ({', '.join(usual)})"
    raise UserError(why, setting=setting, remedy=f"choose one of: {available}")
