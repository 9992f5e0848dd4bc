"""Pictures or videos in folders as a table: the file, words beside it, name of its folder.

``barn.jpg`` may have ``barn.txt`` or ``barn.caption`` beside it, and ``barn.json`` with more
columns. Where pictures lie in several folders, a folder's name is the label of its pictures.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from chiasm.data.files import MEDIA, split_folders
from chiasm.data.table import FileTable, Part, Row, Table, parsed_json, read_text

CAPTION_SUFFIXES = (".txt", ".caption")


class PictureFolder(FileTable):
    """A row per picture: ``image``, and if present ``text``, ``label`` and entries of JSON.

    ``column``: another name for the column of the files, as ``video``.
    """

    def __init__(
        self, root: Path, pictures: Sequence[Path], beside: Sequence[Path], column: str = "image"
    ) -> None:
        super().__init__(*pictures)
        self._column = column
        self._beside = _sidecars(pictures, beside)
        captions = [file for file in pictures if self._caption(file)]
        self.columns: tuple[str, ...] = (column,)
        # Captions count only if most pictures have one: a single text may be a note.
        if 2 * len(captions) > len(pictures):
            self.columns += ("text",)
        names: dict[str, None] = {}
        for number in range(len(pictures)):
            names.update(dict.fromkeys(self._entries(number)))
        self.columns += tuple(name for name in names if name not in self.columns)
        self._labels = _labels(root, pictures)
        if len(set(self._labels) - {None}) > 1 and "label" not in self.columns:
            self.columns += ("label",)

    def __len__(self) -> int:
        return len(self.files)

    def row(self, number: int, *columns: str) -> Row:
        """See :class:`~chiasm.data.table.Table`."""
        file = self.files[number]
        row: Row = self._entries(number) | {self._column: file}
        caption = self._caption(file)
        if caption and "text" in self.columns and "text" in (columns or self.columns):
            row["text"] = read_text(caption)
        if "label" in self.columns:
            row.setdefault("label", self._labels[number])
        return row

    def folder(self, number: int) -> Path:
        """See :class:`~chiasm.data.table.Table`."""
        return self.files[number].parent

    def of_files(self, files: Collection[Path]) -> Table:
        """See :class:`~chiasm.data.table.Table`."""
        return Part(self, files)

    @property
    def sidecars(self) -> list[Path]:
        """Files beside pictures that are read with them."""
        own = [file for beside in self._beside.values() for file in beside]
        return [file for file in own if _is_json(file) or "text" in self.columns]

    def _caption(self, picture: Path) -> Path | None:
        beside = self._beside.get(picture, [])
        return next((file for file in beside if not _is_json(file)), None)

    def _entries(self, number: int) -> dict[str, Any]:
        beside = self._beside.get(self.files[number], [])
        file = next((file for file in beside if _is_json(file)), None)
        found = parsed_json(read_text(file), file) if file else None
        return found if isinstance(found, dict) else {}


def is_picture(file: Path, media: str = "image") -> bool:
    """Returns whether the file's suffix is that of a picture format, or of other media's."""
    return file.suffix.lower() in MEDIA[media]


def _is_json(file: Path) -> bool:
    return file.suffix.lower() == ".json"


def _sidecars(pictures: Sequence[Path], beside: Sequence[Path]) -> Mapping[Path, list[Path]]:
    """Returns captions and JSON by picture: barn.txt or barn.jpg.txt beside barn.jpg."""
    by_stem: dict[Path, list[Path]] = {}
    for file in beside:
        if file.suffix.lower() in (*CAPTION_SUFFIXES, ".json"):
            by_stem.setdefault(file.with_suffix(""), []).append(file)
    found = {
        picture: by_stem.get(picture.with_suffix(""), []) + by_stem.get(picture, [])
        for picture in pictures
    }
    return {picture: files for picture, files in found.items() if files}


def _labels(root: Path, pictures: Sequence[Path]) -> list[str | None]:
    """Returns the name of each picture's folder; None in the root or in a folder of a split."""
    names = [picture.relative_to(root) for picture in pictures]
    splits = split_folders(names)
    return [
        None if name.parent in splits or name.parent == Path() else name.parent.name
        for name in names
    ]
