"""Pictures or videos in folders as a table: the file, words beside it, name of its folder.

``barn.jpg`` may have ``barn.txt`` or ``barn.caption`` beside it, and ``barn.json`` with more
columns. Where pictures lie in several folders, a folder's name is the label of its pictures.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from chiasm.data.files import MEDIA, relative_names, split_folders
from chiasm.data.index import NO_INDEX, Found, Index
from chiasm.data.reading import Unusable
from chiasm.data.table import FileTable, Part, Row, Table, parsed_json, read_text
from chiasm.errors import UserError

CAPTION_SUFFIXES = (".txt", ".caption")
_LISTING = 1
"""Version of what the index holds of JSON files."""


class PictureFolder(FileTable):
    """A row per picture: ``image``, and if present ``text``, ``label`` and entries of JSON.

    ``column``: another name for the column of the files, as ``video``.
    """

    def __init__(
        self,
        root: Path,
        pictures: Sequence[Path],
        beside: Sequence[Path],
        column: str = "image",
        index: Index = NO_INDEX,
    ) -> None:
        super().__init__(*pictures)
        self._column = column
        self._captions, self._json = _sidecars(pictures, beside)
        self.columns: tuple[str, ...] = (column,)
        # Captions count only if most pictures have one: a single text may be a note.
        if 2 * len(self._captions) > len(pictures):
            self.columns += ("text",)
        else:
            self._captions = {}
        self.beside = (*self._captions.values(), *self._json.values())
        found = index.of(f"json {_LISTING}", self._json.values(), self._entered)
        self.columns += tuple(n for n in found.facts["columns"] if n not in self.columns)
        self._labels = _labels(root, pictures)
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


def is_picture(file: Path, media: str = "image") -> bool:
    """Returns whether the file's suffix is that of a picture format, or of other media's."""
    return os.path.splitext(str(file))[1].lower() in MEDIA[media]


def _sidecars(
    pictures: Sequence[Path], beside: Sequence[Path]
) -> tuple[dict[int, Path], dict[int, Path]]:
    """Returns captions, and JSON, by the number of the picture.

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
    return _of_pictures(pictures, captions), _of_pictures(pictures, entries)


def _of_pictures(pictures: Sequence[Path], by_stem: Mapping[str, Path]) -> dict[int, Path]:
    found = {}
    for number, picture in enumerate(map(str, pictures) if by_stem else ()):
        file = by_stem.get(os.path.splitext(picture)[0]) or by_stem.get(picture)
        if file is not None:
            found[number] = file
    return found


def _labels(root: Path, pictures: Sequence[Path]) -> list[str | None]:
    """Returns the name of each picture's folder; None in the root or in a folder of a split."""
    folders = [name.rpartition("/")[0] for name in relative_names(root, pictures)]
    splits = split_folders(Path(folder, "picture") for folder in {*folders})
    known = {
        folder: None if Path(folder) in splits else Path(folder).name or None
        for folder in {*folders}
    }
    return [known[folder] for folder in folders]
