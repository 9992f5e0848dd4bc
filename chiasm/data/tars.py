"""Samples in tar files in the WebDataset layout: members with one key are one sample.

The key is the member's path up to the first dot of its name, the rest is the field:
``a/0001.jpg``, ``a/0001.txt`` and ``a/0001.seg.png`` are the fields ``jpg``, ``txt`` and
``seg.png`` of sample ``a/0001``. Where names have dots of their own (``img.v2.0001.png``), that
rule would merge many samples into one, and the last dot is used instead. Members of a sample need
not be adjacent, samples need not have the same fields, and no type is guessed: ``00042`` stays a
string.

Shape suffixes: M members, S samples.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from chiasm.data.index import NO_INDEX, Found, Index
from chiasm.data.listing import is_leaving
from chiasm.data.media import MEDIA
from chiasm.data.storage import read_part
from chiasm.data.table import FileTable, Row, decoded, parsed_json
from chiasm.data.tar_members import Member, tar_members
from chiasm.errors import UserError

_MEDIA = {medium.column: medium for medium in MEDIA}
"""By the column of a sample's picture, video or sound, in any format."""

Name = tuple[str, str]
"""Folder and name of a member, or folder and key of a sample."""

_LISTING = 2
"""Version of what the index holds of a tar."""


class Tar(FileTable):
    """The samples of one tar file, in the order of their first members.

    Columns are the fields, the entries of JSON fields, ``image``, the first field whose name is a
    picture's suffix, and likewise ``video`` and ``audio``.

    Raises:
        UserError: it is damaged, or has members that cannot be read.
    """

    def __init__(self, file: Path, index: Index = NO_INDEX, content: Path | None = None) -> None:
        super().__init__(file, content=content)
        found = index.of(f"tar {_LISTING}", [self.content], lambda: _listed(self.content, file))
        self._fields: list[str] = found.facts["fields"]
        self.columns = tuple(found.facts["columns"])
        arrays = found.arrays
        self._starts_S, self._field_M = arrays["starts"], arrays["field"]
        self._place_M2, self._keys_S = arrays["place"], arrays["keys"]
        self._folders: list[str] = found.facts["folders"]
        self._folder_S = arrays["folder"]
        self._names_M, self._named_M = arrays["names"], arrays["named"]

    def __len__(self) -> int:
        return len(self._starts_S) - 1

    def row(self, number: int, *columns: str) -> Row:
        """See :class:`~chiasm.data.table.Table`."""
        fields = self._sample(number)
        row: Row = {}
        wanted = columns or self.columns
        own = {column: _field_of(column, fields) or column for column in wanted}
        entries = self._entries(fields, number) if set(own.values()) - fields.keys() else {}
        for column, field in own.items():
            if field in fields:
                row[column] = self._cell(field, fields[field])
            elif column in entries:
                row[column] = entries[column]
        return row

    def name(self, number: int) -> bytes:
        """See :class:`~chiasm.data.table.Table`."""
        return self.files[0].name.encode(errors="replace") + self._keys_S[number].tobytes()

    def member(self, number: int, name: str) -> bytes | None:
        """Returns the bytes of a member, by its name.

        It is a field of the row's sample, or the member's path from the sample's folder, or from
        the tar's begin.
        """
        fields = self._sample(number)
        folder = self._folders[self._folder_S[number]]
        members = [fields.get(name.lower(), -1)]
        for path in (f"{folder}/{name}", name):
            key = _hashed(path.split("/"))
            place = int(np.searchsorted(self._names_M, key, side="right")) - 1
            found = place >= 0 and self._names_M[place] == key
            members.append(int(self._named_M[place]) if found else -1)
        known = next((member for member in members if member >= 0), None)
        return None if known is None else read_part(self.content, *self._place(known))

    def _sample(self, number: int) -> dict[str, int]:
        """Returns the members of a sample by field; of two of one name the later, as tars do."""
        begin, end = self._starts_S[number : number + 2].tolist()
        own = self._field_M[begin:end].tolist()
        return {self._fields[field]: begin + nth for nth, field in enumerate(own)}

    def _place(self, member: int) -> tuple[int, int]:
        begin, size = self._place_M2[member].tolist()
        return begin, begin + size

    def _cell(self, field: str, member: int) -> str | bytes:
        content = read_part(self.content, *self._place(member))
        return content if _is_media(field) else _text(content)

    def _entries(self, fields: dict[str, int], number: int) -> dict[str, Any]:
        if "json" not in fields:
            return {}
        where = f"{self.files[0]}: the .json of sample {number}"
        content = read_part(self.content, *self._place(fields["json"]))
        found = parsed_json(decoded(content, self.files[0]), where)
        return found if isinstance(found, dict) else {}


def _listed(content: Path, file: Path) -> Found:
    """Returns the members of a tar, those of a sample together, and the columns."""
    places = array("q")
    names: list[Name] = []
    entries: dict[int, tuple[str, ...] | UserError] = {}
    for member in tar_members(content, ".json", file):
        parts = [part for part in member.name.split("/") if part not in ("", ".")]
        if parts and "." in parts[-1] and not any(map(_is_no_data, parts)):
            if parts[-1].lower().endswith(".json"):
                entries[len(names)] = _keys(member, file)
            names.append(("/".join(parts[:-1]), parts[-1]))
            places.extend((member.begin, member.size))
    torn = _torn(names)
    samples: dict[Name, int] = {}
    fields: dict[str, int] = {}
    folders: dict[str, int] = {}
    sample, field = array("q"), array("i")
    for folder, name in names:
        key, _, own = name.partition(".")
        if (folder, key) in torn:
            key, _, own = name.rpartition(".")
        sample.append(samples.setdefault((folder, key), len(samples)))
        field.append(fields.setdefault(own.lower(), len(fields)))
    sample_M, field_M = np.array(sample, np.int64), np.array(field, np.int32)
    order_M = np.argsort(sample_M, kind="stable")
    hashes_M = np.array([_hashed((*f.split("/"), n)) for f, n in names], dtype=np.int64)[order_M]
    named_M = np.argsort(hashes_M, kind="stable")
    arrays: dict[str, np.ndarray] = {
        "starts": np.searchsorted(sample_M[order_M], np.arange(len(samples) + 1)),
        "field": field_M[order_M],
        "place": np.array(places, dtype=np.int64).reshape(-1, 2)[order_M],
        "keys": np.array([_hashed(key) for key in samples], dtype=np.int64),
        "names": hashes_M[named_M],
        "named": named_M,
    }
    for folder, _ in samples:
        folders.setdefault(folder, len(folders))
    arrays["folder"] = np.array([folders[folder] for folder, _ in samples], dtype=np.int32)
    own_entries = [entries.get(member, ()) for member in order_M.tolist()]
    is_json_M = arrays["field"] == fields.get("json", -1)
    for nth in np.flatnonzero(is_json_M).tolist():
        if isinstance(error := own_entries[nth], UserError):
            raise error
    keys = [own if isinstance(own, tuple) else () for own in own_entries]
    columns = _columns(list(fields), arrays["starts"], arrays["field"], keys)
    return Found({"fields": [*fields], "folders": [*folders], "columns": columns}, arrays)


def _columns(
    fields: Sequence[str], starts_S: np.ndarray, field_M: np.ndarray, entries: Sequence[tuple]
) -> list[str]:
    """Returns the columns of all samples, in the order in which they are met."""
    columns: dict[str, None] = {}
    known = set()  # samples are alike
    begins, own = starts_S.tolist(), field_M.tolist()
    for begin, end in pairwise(begins):
        kind = (*own[begin:end], *entries[begin:end])
        if kind in known:
            continue
        known.add(kind)
        names = [fields[field] for field in own[begin:end]]
        columns.update(dict.fromkeys(column for column in _MEDIA if _field_of(column, names)))
        columns.update(dict.fromkeys(names))
        if "json" in names:
            columns.update(dict.fromkeys(entries[begin + names.index("json")]))
    return list(columns)


def _keys(member: Member, file: Path) -> tuple[str, ...] | UserError:
    """Returns the names of the entries in a JSON file, or why it is none."""
    try:
        found = parsed_json(decoded(member.content, file), f"{file}: {member.name}")
    except UserError as error:  # which counts only if it is a field of that name
        return error
    return tuple(found) if isinstance(found, dict) else ()


def _is_no_data(name: str) -> bool:
    """Returns whether a name is a leaving, or one of a shard's own description (``__meta__``)."""
    return is_leaving(name) or (name.startswith("__") and name.partition(".")[0].endswith("__"))


def _torn(names: Sequence[Name]) -> set[Name]:
    """Returns keys up to the first dot that merge several samples.

    A key is in doubt if all its fields have dots. Real fields with dots would be the same ones for
    every sample: if there are more different ones than keys in doubt, the dots belong to names.
    """
    parted = [(folder, *name.partition(".")[::2]) for folder, name in names]
    sure = {(folder, key) for folder, key, field in parted if "." not in field}
    unclear = [each for each in parted if each[:2] not in sure]
    keys = {(folder, key) for folder, key, _ in unclear}
    return keys if len({field for _, _, field in unclear}) > len(keys) else set()


def _hashed(parts: Iterable[str]) -> int:
    """Returns 63 bits for the name of a member."""
    name = "/".join(part for part in parts if part not in ("", "."))
    return xxhash.xxh3_64_intdigest(name.encode(errors="surrogateescape")) >> 1


def _field_of(column: str, fields: Iterable[str]) -> str:
    """Returns the field that a column of media stands for, or an empty name."""
    suffixes = _MEDIA[column].suffixes if column in _MEDIA else ()
    return next((field for field in fields if f".{field}" in suffixes), "")


def _is_media(field: str) -> bool:
    return any(medium.is_of(f"sample.{field}") for medium in MEDIA)


def _text(content: bytes) -> str | bytes:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content
