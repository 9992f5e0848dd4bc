"""What must hold of whatever files a source is given.

Opening it, and reading every document with its pictures and sounds, ends in documents and a count
of those that cannot be used, or in one message that names a file or a setting: within a time, with
nothing written but the caches, nothing run, and nothing asked of the network.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import datasets
from damage import Special
from readers import Case

from chiasm.actions import ActionFormat
from chiasm.controls import ControlSettings
from chiasm.data.reading import UNREADABLE, checked
from chiasm.data.source import SOURCES, Opened, Opening
from chiasm.data.sources import open_sources
from chiasm.documents import Document, Image, Sound, Source
from chiasm.errors import UserError

SECONDS = 60.0
"""Time that a case may take, on a machine with other work."""
LONGEST_MESSAGE = 3_000
ACTIONS = ActionFormat(
    controls={
        "steering": ControlSettings(range=(-1, 1)),
        "throttle": ControlSettings(range=(0, 1)),
    }
)

_WRITES = {"os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate"}
_NEVER = {"os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "subprocess.Popen"}
_NEVER |= {"socket.connect", "socket.getaddrinfo"}

_watched: tuple[str, list[str]] | None = None
"""The only folder that may be written to, and what was done beside that."""


class Found(NamedTuple):
    """What came of a case."""

    refused: str
    """The message, if it was refused."""
    documents: int = 0
    skipped: int = 0
    """Rows and documents that cannot be used."""


class TooLongError(BaseException):
    """A case takes longer than it may; no reader takes it for a damaged file."""


def _see(event: str, given: tuple[Any, ...]) -> None:
    if _watched is None:
        return
    allowed, seen = _watched
    if event == "open":
        path, mode, flags = given
        writes = any(letter in (mode or "") for letter in "wxa+")
        writes = writes or bool((flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        if writes and isinstance(path, str | bytes) and not _is_below(path, allowed):
            seen.append(f"{event} {path!r}")
    elif event in _NEVER or (event in _WRITES and not _is_below(given[0], allowed)):
        seen.append(f"{event} {given!r:.200}")


def _is_below(path: str | bytes, folder: str) -> bool:
    absolute = os.path.abspath(os.fsdecode(path))
    return absolute.startswith(f"{folder}{os.sep}") or "__pycache__" in absolute


sys.addaudithook(_see)


@contextmanager
def watched(allowed: Path) -> Iterator[list[str]]:
    """Notes what is written elsewhere than in a folder, run, or asked of the network."""
    global _watched
    seen: list[str] = []
    _watched = str(allowed), seen
    try:
        yield seen
    finally:
        _watched = None


@contextmanager
def timed(seconds: float) -> Iterator[None]:
    """Ends what takes longer, unless a library written in C does not come back."""

    def end(number: int, frame: FrameType | None) -> None:
        raise TooLongError(f"longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def write(case: Case, folder: Path) -> Path:
    """Writes the files of a case; returns the path that its source reads."""
    folder.mkdir()
    for name, content in case.files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Special):
            if content.target:
                file.symlink_to(content.target)
            else:
                os.mkfifo(file)
        else:
            file.write_bytes(content)
    return folder / case.path


def judge(case: Case, base: Path) -> Found:
    """Returns what came of a case, whose files are written below an empty folder.

    Raises:
        AssertionError: what must hold does not. Anything else that it raises should not have been.
    """
    data, cache = base / "data", base / "cache"
    path = write(case, data)
    cache.mkdir()
    before = datasets.config.HF_DATASETS_CACHE
    datasets.config.HF_DATASETS_CACHE = cache / "copies"
    there = _below(base / "data")
    try:
        with watched(cache) as seen, timed(SECONDS):
            found = _read(case, path, cache)
    finally:
        datasets.config.HF_DATASETS_CACHE = before
    assert not seen, seen
    assert _below(base / "data") == there
    assert sorted(each.name for each in base.iterdir()) == ["cache", "data"]
    return found


def _below(folder: Path) -> list[tuple[str, int, int]]:
    """Names, sizes and time stamps of all files."""
    stats = ((str(each), each.lstat()) for each in folder.rglob("*"))
    return sorted((name, found.st_size, found.st_mtime_ns) for name, found in stats)


def _read(case: Case, path: Path, cache: Path) -> Found:
    settings = SOURCES.of(case.settings["kind"]).model_validate(
        {"path": str(path), **case.settings}
    )
    opening = Opening(200, ACTIONS, cache_folder=cache)
    try:
        opened = open_sources({"mine": settings}, opening)["mine"]
    except UserError as error:
        _refuse_unclear(error, case, path)
        return Found(str(error))
    _refuse_unprintable(opened)
    counts = Counter[str]()
    for source in (opened.train, opened.held_out):
        for number in range(len(source)):
            counts[_of_document(source, number)] += 1
    skipped = sum(opened.facts.skipped.values()) + counts["skipped"]
    return Found("", counts["documents"], skipped)


def _refuse_unclear(error: UserError, case: Case, path: Path) -> None:
    told = str(error)
    names = {str(path), *(name.rpartition("/")[2] for name in case.files)}
    assert error.setting or any(name in told for name in names), f"names nothing: {told}"
    assert len(told) < LONGEST_MESSAGE, f"{len(told)} characters: {told:.300}"
    assert "\n" not in told, told
    told.encode(errors="surrogateescape")


def _refuse_unprintable(opened: Opened) -> None:
    line = opened.facts.line("mine")
    assert len(line) < LONGEST_MESSAGE, f"{len(line)} characters: {line:.300}"
    line.encode()
    json.dumps(opened.facts.summary(), allow_nan=False)


def _of_document(source: Source, number: int) -> str:
    """Reads a document and all its items as the stream does."""
    try:
        document = checked(source[number])
        variant = getattr(source, "variant", None)
        if variant is not None:
            checked(variant(number, 1))
        return _items(document)
    except UNREADABLE as error:
        told = str(error)
    assert len(told) < LONGEST_MESSAGE, f"{len(told)} characters: {told:.300}"
    return "skipped"


def _items(document: Document) -> str:
    try:
        document.text.encode()
    except UnicodeEncodeError as error:  # as the text tokenizer would
        raise AssertionError(f"half a letter in {document.text!r:.100}") from error
    for item in document.items:
        if isinstance(item, Image):
            pixels = item.pixels()
            assert pixels.ndim == 3
            assert pixels.shape[2] == 3
            assert pixels.size
        elif isinstance(item, Sound):
            assert item.samples(16_000).shape[1]
    return "documents"
