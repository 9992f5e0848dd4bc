"""Damage that a download, a disk, a spreadsheet or a stranger does to a folder of files.

A folder is a dictionary of contents by name; a content is bytes, or :class:`Special`.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import pickle
import struct
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
from hypothesis import strategies as st
from valid import members_of, parquet, picture, sound, tar, video

MARK = "executed"
"""Name of the file that a pickle's program would write into the working folder."""
LONG_LINE = 10_000_000


@dataclass(frozen=True)
class Special:
    """What is no file: a pipe (``target`` is empty), or a link."""

    target: str = ""


Content = bytes | Special
Folder = dict[str, Content]
Draw = Callable[[st.SearchStrategy[Any]], Any]

NAMES = st.sampled_from(
    [
        *("../outside.png", "/etc/hostname", "/dev/zero", "/proc/self/mem", ".", "", "a\0b"),
        *("x" * 300, "http://127.0.0.1:9/a.png", "file:///etc/hostname", "~/a.png", "a/" * 2500),
    ]
)
CELLS = (
    st.none()
    | st.booleans()
    | st.sampled_from([0, -1, 1 << 40, 10**400, 1e308, float("nan"), float("inf"), "1e999999999"])
    | st.sampled_from(["", " ", "\ud800", "\x00", "a\r\nb", '"', "NaN", "-0", "9" * 5000])
    | st.sampled_from([[], {}, [[]], [None], ["two", "words"], {"bytes": None}, {"path": []}])
    | st.sampled_from([{"bytes": "no bytes"}, {"image": 3}, {"text": ["a"]}, [{"a": [{}]}]])
    | NAMES
    | st.text(max_size=5)
)
"""Of tables, and of the metadata of sets."""
DEEP, LONG = "[[deep]]", "[[long]]"
"""Cells that stand for a nesting without end, and for a text of ten million characters."""


WAYS = st.sampled_from(
    [*("flip", "flip", "number", "number", "cut", "zero", "repeat", "swap", "other", "empty")]
)


def damaged_bytes(draw: Draw, whole: bytes) -> bytes:
    """Content that is cut off, flipped, overwritten, repeated, or something else altogether."""
    size = len(whole)
    if not size:
        return draw(st.binary(max_size=40))
    near = st.integers(0, min(size, 200) - 1) | st.integers(max(0, size - 80), size - 1)
    place = near | st.integers(0, size - 1)
    match draw(WAYS):
        case "cut":
            return whole[: draw(place)]
        case "flip":
            changed = bytearray(whole)
            for at in draw(st.lists(place, min_size=1, max_size=8)):
                changed[at] ^= draw(st.integers(1, 255))
            return bytes(changed)
        case "number":
            huge = draw(st.sampled_from([0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF]))
            form = draw(st.sampled_from(["<Q", ">Q"] if huge >> 32 else ["<I", ">I"]))
            return _put(whole, draw(place), struct.pack(form, huge))
        case "zero":
            return _put(whole, draw(place), bytes(draw(st.integers(1, 300))))
        case "repeat":
            begin, end = sorted((draw(place), draw(place)))
            return whole[:end] + whole[begin:end] * draw(st.integers(1, 3)) + whole[end:]
        case "swap":
            first, second = sorted((draw(place), draw(place)))
            return whole[second:] + whole[first:second] + whole[:first]
        case "other":
            others = [b"\xff\xfe" * 9, b"\0" * 600, b"ID3", b"<html>404</html>", picture("gif")]
            others += [b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"]
            return draw(st.sampled_from([*others, sound("mp3"), video("mkv"), _pickled()]))
    return b""


def _put(whole: bytes, at: int, own: bytes) -> bytes:
    return whole[:at] + own + whole[at + len(own) :]


def huge_picture(draw: Draw) -> bytes:
    """A header that declares a size of nothing, or of more than any memory."""
    sides = st.sampled_from([0, 1, 12, 65_535, 100_000, 0x7FFFFFFF])
    width, height = draw(sides), draw(sides)
    if draw(st.booleans()):
        return f"P6 {width} {height} 255\n".encode() + bytes(40)
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = b"IDAT" + zlib.compress(bytes(500))
    chunks = (
        struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (head, body)
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def odd_sound(draw: Draw) -> bytes:
    """A WAV without samples, of an absurd rate, of many channels, or of numbers that are none."""
    channels = draw(st.sampled_from([0, 1, 2, 32, 65_535]))
    rate = draw(st.sampled_from([0, 1, 999, 7_919, 8_000, 767_999, 0x7FFFFFFF, 0xFFFFFFFF]))
    bits = draw(st.sampled_from([0, 1, 8, 16, 24, 32, 64]))
    code = draw(st.sampled_from([1, 3, 0xFFFE, 17]))
    data = draw(st.sampled_from([b"", b"\0", bytes(800), struct.pack("<f", float("nan")) * 200]))
    length = draw(st.sampled_from([len(data), 0, 0xFFFFFFFF]))
    block = channels * bits // 8 & 0xFFFF
    form = struct.pack("<HHIIHH", code, channels, rate, rate * block & 0xFFFFFFFF, block, bits)
    chunks = b"fmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", length) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


class _Program:
    """What a pickle must not run."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (MARK,)


def _pickled() -> bytes:
    return pickle.dumps({"position": [[0, 0], [1, 1]], "yaw": _Program()})


def _cell(draw: Draw) -> Any:
    return draw(CELLS if draw(st.integers(0, 9)) else st.sampled_from([DEEP, LONG]))


def _changed(draw: Draw, value: Any) -> Any:
    """A value of JSON with another one somewhere in it, or without a part."""
    keys = [*value] if isinstance(value, dict) else []
    keys = [*range(len(value))] if isinstance(value, list) else keys
    if not keys or draw(st.integers(0, 3)) == 0:
        return _cell(draw)
    key, copy = draw(st.sampled_from(keys)), value.copy()
    match draw(st.sampled_from(["in", "in", "in", "out", "more"])):
        case "out":
            del copy[key]
        case "more" if isinstance(copy, list):
            copy.append(copy[key])
        case "more":
            copy[f"{key}2"] = copy[key]
        case _:
            copy[key] = _changed(draw, copy[key])
    return copy


def _json(value: Any) -> bytes:
    text = json.dumps(value)
    text = text.replace(json.dumps(DEEP), "[" * 100_000)
    return text.replace(LONG, "x" * LONG_LINE).encode()


def damaged_json(draw: Draw, whole: bytes) -> bytes:
    return _json(_changed(draw, json.loads(whole)))


def damaged_lines(draw: Draw, whole: bytes) -> bytes:
    rows = _changed(draw, [json.loads(line) for line in whole.splitlines()])
    return b"\n".join(map(_json, rows if isinstance(rows, list) else [rows]))


def damaged_cells(draw: Draw, whole: bytes, mark: str) -> bytes:
    rows = list(csv.reader(io.StringIO(whole.decode(), newline=""), delimiter=mark))
    row = draw(st.sampled_from(rows))
    at = draw(st.integers(0, len(row) - 1))
    match draw(st.sampled_from(["cell", "cell", "less", "more", "name"])):
        case "cell":
            cell = _cell(draw)
            row[at] = "x" * LONG_LINE if cell == LONG else str(cell)
        case "less":
            del row[at]
        case "more":
            row.insert(at, "more")
        case "name":
            rows[0][0] = draw(st.sampled_from(["", " ", rows[0][-1], "\x00", "text\n"]))
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=mark).writerows(rows)
    return file.getvalue().encode("utf-8", "surrogatepass")


def _columns(draw: Draw, length: int) -> pa.Array:
    """A column of a type that is rarely met, or of values that no type should hold."""
    invalid = pa.array([b"\xff\xfe"] * length, pa.binary()).view(pa.string())
    texts = pa.array(["word"] * length)
    columns: list[Callable[[], pa.Array]] = [
        lambda: pa.nulls(length),
        lambda: invalid,
        lambda: pa.array([float("nan")] * length),
        lambda: pa.array([float("inf")] * length, pa.float32()),
        lambda: pa.array([2**63] * length, pa.uint64()),
        lambda: pa.array([-(2**62)] * length),
        lambda: pa.array([2**40] * length, pa.timestamp("s")),
        lambda: pa.array([10**12] * length, pa.duration("us")),
        lambda: pa.array([["a", None]] * length, pa.list_(pa.string())),
        lambda: pa.array([[[1.0], []]] * length),
        lambda: pa.array([{"bytes": b"no picture", "path": None}] * length),
        lambda: pa.array([{"path": "/dev/zero"}] * length),
        lambda: pa.array([[("a", 1)]] * length, pa.map_(pa.string(), pa.int64())),
        lambda: pa.array([b"abcd"] * length, pa.binary(4)),
        lambda: pa.array(["word"] * length, pa.large_string()),
        lambda: texts.dictionary_encode(),
        lambda: pa.array([True, None][: min(2, length)] + [None] * max(0, length - 2)),
        lambda: pa.array([[0.5] * 3] * length, pa.list_(pa.float32(), 3)),
        lambda: pa.array([draw(NAMES)] * length),
    ]
    return draw(st.sampled_from(columns))()


def damaged_parquet(draw: Draw, whole: bytes) -> bytes:
    table = pq.read_table(io.BytesIO(whole))
    at = draw(st.integers(0, table.num_columns - 1))
    name = table.column_names[at]
    match draw(st.sampled_from(["column", "column", "nulls", "out", "none", "twice", "turned"])):
        case "column":
            table = table.set_column(at, name, _columns(draw, len(table)))
        case "nulls":
            keep = pa.array([draw(st.booleans()) for _ in range(len(table))])
            some = pa.compute.if_else(
                keep, table[at].combine_chunks(), pa.scalar(None, table[at].type)
            )
            table = table.set_column(at, name, some)
        case "out":
            table = table.remove_column(at)
        case "none":
            table = table.slice(0, 0)
        case "twice":
            table = pa.concat_tables([table, table])
        case "turned":
            table = table.take(list(range(len(table)))[::-1])
    return parquet(table)


def damaged_tar(draw: Draw, whole: bytes) -> bytes:
    members = members_of(whole)
    at = draw(st.integers(0, len(members) - 1))
    name, content = members[at]
    assert isinstance(name, str)
    match draw(st.sampled_from(["in", "in", "name", "link", "out", "twice", "more"])):
        case "in":
            members[at] = name, damaged_file(draw, name, content)
        case "name":
            own = st.sampled_from(["/tmp/a.png", "../../a.png", "a/../../b.png", "a.b.c.png", "./"])
            members[at] = (
                draw(own | st.text(st.characters(codec="utf-8", exclude_characters="\0"))),
                content,
            )
        case "link":
            entry = tarfile.TarInfo(name)
            entry.type = draw(st.sampled_from([tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE]))
            entry.linkname = "/etc/hostname"
            members[at] = entry, b""
        case "out":
            del members[at]
        case "twice":
            members.append(members[at])
        case "more":
            members.append(
                (
                    name.rpartition(".")[0] + draw(st.sampled_from([".seg.png", ".json", ""])),
                    content,
                )
            )
    return tar(members)


@cache
def _bomb() -> bytes:
    return gzip.compress(bytes(70_000_000))


def damaged_gz(draw: Draw, whole: bytes, inner: str) -> bytes:
    if draw(st.integers(0, 9)) == 0:
        return _bomb()
    return gzip.compress(damaged_file(draw, inner, gzip.decompress(whole)))


STRUCTURED: dict[str, Callable[[Draw, bytes], bytes]] = {
    "json": damaged_json,
    "jsonl": damaged_lines,
    "catalog": damaged_lines,
    "csv": lambda draw, whole: damaged_cells(draw, whole, ","),
    "tsv": lambda draw, whole: damaged_cells(draw, whole, "\t"),
    "parquet": damaged_parquet,
    "tar": damaged_tar,
    "png": lambda draw, whole: huge_picture(draw),
    "wav": lambda draw, whole: odd_sound(draw),
    "pkl": lambda draw, whole: _pickled(),
    "txt": lambda draw, whole: b"x" * LONG_LINE if draw(st.integers(0, 9)) == 0 else whole[::-1],
}
"""Damage that knows the format, by suffix."""


def damaged_file(draw: Draw, name: str, whole: bytes) -> bytes:
    """One file, damaged as its format is or byte by byte."""
    stem, _, suffix = name.rpartition(".")
    if suffix == "gz" and draw(st.booleans()):
        return damaged_gz(draw, whole, stem)
    if suffix in STRUCTURED and whole and draw(st.integers(0, 2)):
        try:
            return STRUCTURED[suffix](draw, whole)
        except (ValueError, pa.ArrowException):
            pass  # it would hold what its format cannot
    return damaged_bytes(draw, whole)


@st.composite
def damaged(draw: Draw, files: Folder) -> Folder:
    """A folder in which up to three things are wrong, each in another file."""
    found = dict(files)
    number = min(draw(st.sampled_from([0, 1, 1, 1, 2, 3])), len(found))
    names = st.lists(st.sampled_from(sorted(found)), min_size=number, max_size=number, unique=True)
    for name in draw(names):
        content = found.pop(name)
        assert isinstance(content, bytes)
        match draw(st.sampled_from(["in"] * 8 + ["out", "special", "name"])):
            case "in":
                found[name] = damaged_file(draw, name, content)
            case "special":
                places = ["", "/dev/zero", "nowhere", ".", "../..", name.rpartition("/")[2]]
                found[name] = Special(draw(st.sampled_from(places)))
            case "name":
                found[draw(st.sampled_from([f"{name}.part", f".{name}", f"deep/{name}"]))] = content
    return found
