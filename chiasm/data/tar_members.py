"""The members of a tar, found by their headers: nothing is unpacked.

POSIX (ustar, pax), GNU and old tars. Refused are members whose bytes stand elsewhere or not as they
are (links, sparse files, parts of several volumes), names that lead out of a folder into which the
tar would be unpacked, and a tar without its end mark.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from chiasm.data.storage import ByteReader, named, opened
from chiasm.errors import UserError, first_line

BLOCK_BYTES = 512
_MOST_HEADER_BYTES = 1 << 20
"""Of a header that holds a long name, or records of pax."""
_SHOWN = 200
"""Letters of a name that a message shows."""
_END_BYTES = 1 << 16
"""Bytes searched for another archive; the zeros at the end of one are usually 10 KiB at most."""

_FILES = frozenset((b"0", b"\0", b"7"))
_ELSEWHERE = frozenset((b"1", b"2", b"S", b"M"))
_LONG_NAME, _LONG_LINK, _PAX, _GLOBAL_PAX = b"L", b"K", b"x", b"g"
_ABOUT_NEXT = frozenset((_LONG_NAME, _LONG_LINK, _PAX, _GLOBAL_PAX))


class Member(NamedTuple):
    """A file in a tar."""

    name: str
    begin: int
    """Place of its first byte in the tar."""
    size: int
    content: bytes = b""
    """Of those that are wanted."""


class _Header(NamedTuple):
    name: bytes
    size: int
    kind: bytes


class _BadError(Exception):
    """A tar is damaged; the message says how."""


def tar_members(file: Path, wanted: str = "", told: Path | None = None) -> Iterator[Member]:
    """Yields the files in a tar, in order.

    Args:
        file: the tar.
        wanted: the content of files whose lower-case names end so is read too.
        told: the file that messages name.

    Raises:
        UserError: it is damaged or no tar, or has members that are refused.
    """
    told = told or file
    try:
        with opened(file) as source:
            for member in _members(source, told):
                if wanted and member.name.lower().endswith(wanted):
                    content = source.read_at(member.begin, member.size)
                    member = member._replace(content=content)
                yield member
    except FileNotFoundError as error:
        raise UserError(f"{named(told)} is not there; fetch it again, or leave it out") from error
    except (_BadError, OSError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else first_line(error)
        raise UserError(
            f"{named(told)} cannot be read as a tar ({why}); unpack it if it is compressed in "
            "another way than by gzip, or fetch it again"
        ) from error


def _members(source: ByteReader, file: Path) -> Iterator[Member]:
    place, name, size = 0, b"", -1
    if not source.size:
        raise _BadError("it is empty")
    while (header := _header(source, place)) is not None:
        begin = place + BLOCK_BYTES
        # Records of pax hold for the member after them alone.
        own = header.size if size < 0 or header.kind in _ABOUT_NEXT else size
        if begin + own > source.size:
            raise _BadError("its last member is cut off")
        place = begin - (-own // BLOCK_BYTES) * BLOCK_BYTES
        if header.kind == _LONG_NAME:
            name = _content(source, begin, own).rstrip(b"\0")
        elif header.kind in (_PAX, _GLOBAL_PAX):
            records = _records(_content(source, begin, own))
            if any(key.startswith(b"GNU.sparse") for key in records):
                _refuse_elsewhere(records.get(b"path", header.name), file)
            if header.kind == _PAX:
                name, size = records.get(b"path", name), int(records.get(b"size", b"-1"))
        elif header.kind != _LONG_LINK:
            told = _decoded(name or header.name)
            _refuse_outside(told, file)
            if header.kind in _ELSEWHERE:
                _refuse_elsewhere(name or header.name, file)
            if header.kind in _FILES and not told.endswith("/"):
                yield Member(told, begin, own)
            name, size = b"", -1
    _refuse_another_end(source, place, file)


def _header(source: ByteReader, place: int) -> _Header | None:
    """Returns the header at a place; None at the end mark, or where there is nothing more."""
    block = source.read_at(place, BLOCK_BYTES)
    if not block or (len(block) == BLOCK_BYTES and block == bytes(BLOCK_BYTES)):
        return None
    if len(block) < BLOCK_BYTES:
        raise _BadError("it is cut off" if place else "it is too short")
    try:
        right = _number(block[148:156]) in _sums(block)
        size = _number(block[124:136])
    except ValueError as error:
        raise _BadError(f"no header at byte {place}") from error
    if not right or size < 0:
        raise _BadError(f"no header at byte {place}")
    kind, name = block[156:157], block[:100].split(b"\0", 1)[0]
    prefix = block[345:500].split(b"\0", 1)[0] if block[257:263] == b"ustar\0" else b""
    # Links, devices and folders have no bytes, whatever their header says of a size.
    size = 0 if kind in (b"1", b"2", b"3", b"4", b"5", b"6") else size
    return _Header(b"/".join(filter(None, (prefix, name))), size, kind)


def _sums(block: bytes) -> Iterator[int]:
    """Yields the checksum of a header, and the one of old programs that added signed bytes."""
    rest = block[:148] + b" " * 8 + block[156:]
    yield (total := sum(rest))
    yield total - 256 * sum(byte > 127 for byte in rest)


def _number(field: bytes) -> int:
    """Returns a number in octal digits, or in GNU's form for large ones."""
    if field[0] in (0x80, 0xFF):
        return int.from_bytes(field[1:], "big") if field[0] == 0x80 else -1
    digits = field.split(b"\0", 1)[0].strip()
    return int(digits, 8) if digits else 0


def _content(source: ByteReader, begin: int, size: int) -> bytes:
    if size > _MOST_HEADER_BYTES:
        raise _BadError(f"a header of {size} bytes")
    return source.read_at(begin, size)


def _records(content: bytes) -> dict[bytes, bytes]:
    """Returns the records of a pax header: ``LENGTH KEY=VALUE\\n`` each."""
    found, place = {}, 0
    while place < len(content) and content[place]:
        digits = content[place : place + 20].split(b" ", 1)[0]
        with suppress(ValueError):
            length = int(digits)
            key, equals, value = content[place + len(digits) + 1 : place + length].partition(b"=")
            if length > len(digits) + 1 and equals and value.endswith(b"\n"):
                found[key] = value[:-1]
                place += length
                continue
        raise _BadError("a pax header that has no records")
    if not found.get(b"size", b"0").isdigit():
        raise _BadError("a pax header with a size that is no number")
    return found


def _decoded(name: bytes) -> str:
    return name.decode(errors="surrogateescape")


def _refuse_outside(name: str, file: Path) -> None:
    if name.startswith("/") or ".." in name.split("/"):
        raise UserError(
            f"{named(file)}: the member {name[:_SHOWN]!r} leads out of the folder that a tar is "
            "unpacked into; write the tar with names below one folder"
        )


def _refuse_elsewhere(name: bytes, file: Path) -> None:
    raise UserError(
        f"{named(file)}: {_decoded(name)[:_SHOWN]} is a link, a sparse file or a part of several "
        "volumes, which holds no bytes of its own; write the tar with --dereference "
        "--hard-dereference, and without --sparse"
    )


def _refuse_another_end(source: ByteReader, end: int, file: Path) -> None:
    """Raises a UserError unless only zeros follow the last member: readers of tars stop there."""
    rest = source.read_at(end, _END_BYTES)
    if rest.strip(b"\0"):
        raise UserError(
            f"{named(file)} goes on after its end, as tars do that were joined by cat; give them "
            "one by one, or join them with tar --concatenate"
        )
    if len(rest) < BLOCK_BYTES:
        raise UserError(
            f"{named(file)} has no end mark, as tars that are cut off between two members; fetch "
            "or write it again"
        )
