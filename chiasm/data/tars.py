"""Samples in tar files, as WebDataset lays them out: members of one key are one sample.

The key is the member's path up to the first dot of its name, what follows is the field:
``a/0001.jpg``, ``a/0001.txt`` and ``a/0001.seg.png`` are the fields ``jpg``, ``txt`` and
``seg.png`` of sample ``a/0001``. Where names have dots of their own (``img.v2.0001.png``), that
rule would take all samples for one; then the last dot divides. Members of a sample need not stand
together, samples need not have the same fields, and nothing is guessed from content: ``00042``
stays five characters.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from chiasm.data.files import PICTURE_SUFFIXES
from chiasm.data.table import Row, TextCells, read_part
from chiasm.errors import UserError

IMAGE = "image"
"""The column of a sample's picture, whatever its format."""

Place = tuple[int, int]
"""Begin and end of a member's bytes in the tar."""


class Tar(TextCells):
    """The samples of one tar file, in the order of their first members.

    Columns are the fields, the entries of JSON fields, and ``image``: the first field that is a
    picture's suffix.
    """

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.files: tuple[Path, ...] = (file,)
        members = _members(file)
        samples = _samples(members, first_dot=True)
        by_last_dot = _samples(members, first_dot=False)
        self._samples = by_last_dot if _are_torn(samples, by_last_dot) else samples
        names: dict[str, None] = {}
        for number, (_, fields) in enumerate(self._samples):
            if _picture_field(fields):
                names[IMAGE] = None
            names.update(dict.fromkeys(fields))
            if "json" in fields:
                names.update(dict.fromkeys(self._json(number)))
        self.columns = tuple(names)

    def __len__(self) -> int:
        return len(self._samples)

    def row(self, number: int, *columns: str) -> Row:
        """See :class:`~chiasm.data.table.Table`."""
        key, fields = self._samples[number]
        row: Row = {"__key__": key}
        entries = self._json(number) if "json" in fields else {}
        for column in columns or self.columns:
            field = _picture_field(fields) if column == IMAGE else column
            if field in fields:
                content = self._content(fields[field])
                row[column] = content if _is_picture(field) else _text(content, field)
            elif column in entries:
                row[column] = entries[column]
        return row

    def folder(self, number: int) -> Path:
        """See :class:`~chiasm.data.table.Table`."""
        return self.files[0].parent

    def _content(self, place: Place) -> bytes:
        return read_part(self.files[0], *place)

    def _json(self, number: int) -> dict[str, Any]:
        key, fields = self._samples[number]
        content = self._content(fields["json"])
        try:
            found = json.loads(content, parse_int=str, parse_float=str, parse_constant=str)
        except ValueError as error:
            raise UserError(f"{self.files[0]}: {key}.json is no JSON ({error})") from error
        return found if isinstance(found, dict) else {}


def _members(file: Path) -> list[tuple[PurePosixPath, Place]]:
    try:
        with tarfile.open(file, "r:") as tar:
            return [
                (PurePosixPath(member.name), (member.offset_data, member.offset_data + member.size))
                for member in tar
                if member.isfile() and not PurePosixPath(member.name).name.startswith((".", "__"))
            ]
    except tarfile.TarError as error:
        raise UserError(
            f"{file} cannot be read as a tar ({error}); unpack it if it is compressed, or fetch "
            "it again"
        ) from error


def _samples(
    members: list[tuple[PurePosixPath, Place]], *, first_dot: bool
) -> list[tuple[str, dict[str, Place]]]:
    """Key and fields of every sample; of a member that stands twice the later one, as in tars."""
    samples: dict[str, dict[str, Place]] = {}
    for path, place in members:
        key, _, field = path.name.partition(".") if first_dot else path.name.rpartition(".")
        samples.setdefault((path.parent / key).as_posix(), {})[field.lower()] = place
    return list(samples.items())


def _are_torn(
    by_first: list[tuple[str, dict[str, Place]]], by_last: list[tuple[str, dict[str, Place]]]
) -> bool:
    """Whether the first dot puts together what belongs to several samples.

    It does where some sample has a suffix twice, and the last dot gives samples of several fields
    that all are the same.
    """
    suffixes = [[field.rpartition(".")[2] for field in fields] for _, fields in by_first]
    repeated = any(len(set(own)) < len(own) for own in suffixes)
    fields = {frozenset(fields) for _, fields in by_last}
    return repeated and len(fields) == 1 and len(next(iter(fields))) > 1


def _picture_field(fields: Mapping[str, Place]) -> str:
    return next((field for field in fields if f".{field}" in PICTURE_SUFFIXES), "")


def _is_picture(field: str) -> bool:
    return f".{field.rpartition('.')[2]}" in PICTURE_SUFFIXES


def _text(content: bytes, field: str) -> str | bytes:
    try:
        return content.decode().removeprefix("\ufeff")
    except UnicodeDecodeError:
        return content
