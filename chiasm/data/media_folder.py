"""Pictures, videos or sounds in folders as a table: file, words beside it, name of its folder.

``barn.jpg`` may have ``barn.txt`` or ``barn.caption`` beside it, and ``barn.json`` with more
columns. Where files lie in several folders, a folder's name is the label of its files.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from chiasm.data.files import relative_names
from chiasm.data.index import NO_INDEX, Found, Index
from chiasm.data.media import IMAGE, Medium
from chiasm.data.reading import Unusable
from chiasm.data.splits import split_folders
from chiasm.data.table import FileTable, Part, Row, Table, parsed_json, read_text
from chiasm.errors import UserError

CAPTION_SUFFIXES = (".txt", ".caption")
_LISTING = 1
"""Version of what the index holds of JSON files."""


class MediaFolder(FileTable):
    """A row per file: its medium's column, and if present text, label and entries of JSON."""

    def __init__(
        self,
        root: Path,
        files: Sequence[Path],
        beside: Sequence[Path],
        medium: Medium = IMAGE,
        index: Index = NO_INDEX,
    ) -> None:
        super().__init__(*files)
        self._column = medium.column
        self._captions, self._json = _sidecars(files, beside)
        self.columns: tuple[str, ...] = (self._column,)
        # Captions count only if most files have one: a single text may be a note.
        if 2 * len(self._captions) > len(files):
            self.columns += ("text",)
        else:
            self._captions = {}
        self.beside = (*self._captions.values(), *self._json.values())
        found = index.of(f"json {_LISTING}", self._json.values(), self._entered)
        self.columns += tuple(n for n in found.facts["columns"] if n not in self.columns)
        self._labels = _labels(root, files)
        if len(set(self._labels) - {None}) > 1 and "label" not in self.columns:
            self.columns += ("label",)

    def __len__(self) -> int:
        return len(self.files)

    def row(self, number: int, *columns: str) -> Row:
        """See :class:`~chiasm.data.table.Table`."""
        row: Row = self._entries(number) | {self._column: self.files[number]}
        caption = self._captions.get(number)
        if caption and "text" in (columns or self.columns):
            try:
                row["text"] = read_text(caption)
            except UserError as error:
                if isinstance(error.__cause__, OSError):
                    raise
                raise Unusable("caption is no UTF-8", str(error)) from error
        if "label" in self.columns:
            row.setdefault("label", self._labels[number])
        return row

    def file(self, number: int) -> Path:
        """See :class:`~chiasm.data.table.Table`."""
        return self.files[number]

    def of_files(self, files: Collection[Path]) -> Table:
        """See :class:`~chiasm.data.table.Table`."""
        return Part(self, files)

    def _entered(self) -> Found:
        names: dict[str, None] = {}
        for number in self._json:
            names.update(dict.fromkeys(self._entries(number)))
        return Found({"columns": list(names)})

    def _entries(self, number: int) -> dict[str, Any]:
        file = self._json.get(number)
        found = parsed_json(read_text(file), file) if file else None
        return found if isinstance(found, dict) else {}


def _sidecars(
    files: Sequence[Path], beside: Sequence[Path]
) -> tuple[dict[int, Path], dict[int, Path]]:
    """Returns captions, and JSON, by the number of the file.

    They are barn.txt or barn.jpg.txt beside barn.jpg.
    """
    captions: dict[str, Path] = {}
    entries: dict[str, Path] = {}
    for file in beside:
        stem, suffix = os.path.splitext(str(file))
        if suffix.lower() in CAPTION_SUFFIXES:
            captions.setdefault(stem, file)
        elif suffix.lower() == ".json":
            entries.setdefault(stem, file)
    return _by_number(files, captions), _by_number(files, entries)


def _by_number(files: Sequence[Path], by_stem: Mapping[str, Path]) -> dict[int, Path]:
    found = {}
    for number, name in enumerate(map(str, files) if by_stem else ()):
        file = by_stem.get(os.path.splitext(name)[0]) or by_stem.get(name)
        if file is not None:
            found[number] = file
    return found


def _labels(root: Path, files: Sequence[Path]) -> list[str | None]:
    """Returns the name of each file's folder; None in the root or in a folder of a split."""
    folders = [name.rpartition("/")[0] for name in relative_names(root, files)]
    splits = split_folders(Path(folder, "file") for folder in {*folders})
    known = {
        folder: None if Path(folder) in splits else Path(folder).name or None
        for folder in {*folders}
    }
    return [known[folder] for folder in folders]
