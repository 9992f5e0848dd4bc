"""Samples in tar files in the WebDataset layout: members with one key are one sample.

The key is the member's path up to the first dot of its name, the rest is the field:
``a/0001.jpg``, ``a/0001.txt`` and ``a/0001.seg.png`` are the fields ``jpg``, ``txt`` and
``seg.png`` of sample ``a/0001``. Where names have dots of their own (``img.v2.0001.png``), that
rule would merge many samples into one, and the last dot is used instead. Members of a sample need
not be adjacent, samples need not have the same fields, and no type is guessed: ``00042`` stays a
string.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from chiasm.data.files import PICTURE_SUFFIXES, SOUND_SUFFIXES, is_leaving
from chiasm.data.table import FileTable, Row, decoded, parsed_json, read_part
from chiasm.errors import UserError

_END_BYTES = 1 << 16
"""Bytes searched for another archive; the zeros at the end of one are usually 10 KiB at most."""

IMAGE, AUDIO = "image", "audio"
"""Columns of a sample's picture and of its sound, in any format."""
_SUFFIXES = {IMAGE: PICTURE_SUFFIXES, AUDIO: SOUND_SUFFIXES}

Name = tuple[str, str]
"""Folder and name of a member, or folder and key of a sample."""

Place = tuple[int, int]
"""Begin and end of a member's bytes in the tar."""


class Tar(FileTable):
    """The samples of one tar file, in the order of their first members.

    Columns are the fields, the entries of JSON fields, ``image``, the first field whose name is a
    picture's suffix, and ``audio``, the first of a sound's.
    """

    def __init__(self, file: Path) -> None:
        super().__init__(file)
        self._samples = _samples(_members(file))
        names: dict[str, None] = {}
        for number, fields in enumerate(self._samples):
            names.update(dict.fromkeys(name for name in _SUFFIXES if _field_of(name, fields)))
            names.update(dict.fromkeys(fields))
            if "json" in fields:
                names.update(dict.fromkeys(self._json(number)))
        self.columns = tuple(names)

    def __len__(self) -> int:
        return len(self._samples)

    def row(self, number: int, *columns: str) -> Row:
        """See :class:`~chiasm.data.table.Table`."""
        fields = self._samples[number]
        row: Row = {}
        entries = self._json(number) if "json" in fields else {}
        for column in columns or self.columns:
            field = _field_of(column, fields) or column
            if field in fields:
                content = self._content(fields[field])
                row[column] = content if _is_media(field) else _text(content)
            elif column in entries:
                row[column] = entries[column]
        return row

    def _content(self, place: Place) -> bytes:
        return read_part(self.files[0], *place)

    def _json(self, number: int) -> dict[str, Any]:
        file, place = self.files[0], self._samples[number]["json"]
        where = f"{file}: the .json of sample {number}"
        found = parsed_json(decoded(self._content(place), file), where)
        return found if isinstance(found, dict) else {}


def _members(file: Path) -> list[tuple[Name, Place]]:
    try:
        with tarfile.open(file, "r:") as tar:
            members = [
                ([part for part in member.name.split("/") if part not in ("", ".")], member)
                for member in tar
            ]
            _refuse_another_end(file, tar.offset)
    except (tarfile.TarError, OSError) as error:
        raise UserError(
            f"{file} cannot be read as a tar ({error}); unpack it if it is compressed, or fetch "
            "it again"
        ) from error
    own = [(parts, member) for parts, member in members if not any(map(is_leaving, parts))]
    if elsewhere := [m.name for _, m in own if m.issym() or m.islnk() or m.issparse()]:
        raise UserError(
            f"{file}: {elsewhere[0]} is a link or a sparse file ({len(elsewhere)} such members), "
            "which holds no bytes of its own; write the tar with --dereference --hard-dereference, "
            "and without --sparse"
        )
    return [
        (
            ("/".join(parts[:-1]), parts[-1]),
            (member.offset_data, member.offset_data + member.size),
        )
        for parts, member in own
        if member.isfile() and parts and "." in parts[-1]
    ]


def _refuse_another_end(file: Path, end: int) -> None:
    """Raises a UserError unless only zeros follow the last member: readers of tars stop there."""
    with file.open("rb") as opened:
        opened.seek(end)
        rest = opened.read(_END_BYTES)
    if rest.strip(b"\0"):
        raise UserError(
            f"{file} goes on after its end, as tars do that were joined by cat; give them one "
            "by one, or join them with tar --concatenate"
        )
    if len(rest) < tarfile.BLOCKSIZE:
        raise UserError(
            f"{file} has no end mark, as tars that are cut off between two members; fetch or write "
            "it again"
        )


def _samples(members: Sequence[tuple[Name, Place]]) -> list[dict[str, Place]]:
    """Returns the fields of every sample; of two members of one name the later, as tars do."""
    torn = _torn(name for name, _ in members)
    samples: dict[Name, dict[str, Place]] = {}
    for (folder, name), place in members:
        key, _, field = name.partition(".")
        if (folder, key) in torn:
            key, _, field = name.rpartition(".")
        samples.setdefault((folder, key), {})[field.lower()] = place
    return list(samples.values())


def _torn(names: Iterable[Name]) -> set[Name]:
    """Returns keys up to the first dot that merge several samples.

    A key is in doubt if all its fields have dots. Real fields with dots would be the same ones for
    every sample: if there are more different ones than keys in doubt, the dots belong to names.
    """
    fields: dict[Name, set[str]] = {}
    for folder, name in names:
        key, _, field = name.partition(".")
        fields.setdefault((folder, key), set()).add(field)
    unclear = {key for key, own in fields.items() if all("." in field for field in own)}
    different = {field for key in unclear for field in fields[key]}
    return unclear if len(different) > len(unclear) else set()


def _field_of(column: str, fields: Mapping[str, Place]) -> str:
    """Returns the field that a column of media stands for, or an empty name."""
    suffixes = _SUFFIXES.get(column, frozenset())
    return next((field for field in fields if f".{field}" in suffixes), "")


def _is_media(field: str) -> bool:
    return any(f".{field.rpartition('.')[2]}" in suffixes for suffixes in _SUFFIXES.values())


def _text(content: bytes) -> str | bytes:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content
