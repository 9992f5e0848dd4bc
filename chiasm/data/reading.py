"""Usable documents, and a count of the others.

The stream skips a document that is empty, that cannot be read, or that holds an item which cannot
be read. All other code that reads documents skips the same ones through this file, so that one
broken file does not end a run, and reports how many there were.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from chiasm.documents import Document, Image, Source
from chiasm.errors import UserError, origin

if TYPE_CHECKING:
    from chiasm.batch.items import ItemReader  # imports torch, and recipes import this file

UNREADABLE = (UserError, OSError, ValueError)
"""Errors by which a source reports a document that it cannot read."""


class LostError(UserError):
    """A file with many documents is gone or cannot be reached: an end, where one is skipped."""


def defect(place: str, error: Exception) -> UserError:
    """Returns the error that ends a run when a source or an encoder fails unexpectedly."""
    return UserError(
        f"{place}: {type(error).__name__}: {error}{origin(error)}",
        remedy="mend the source or the encoder; where a document cannot be used and is to be "
        "skipped and counted, raise a ValueError",
    )


def checked(document: Document) -> Document:
    """Returns the document of a source unchanged.

    Raises:
        TypeError: it is no document.
    """
    if not isinstance(document, Document):
        raise TypeError(f"the source gave a {type(document).__name__}; a Document is asked for")
    return document


class Unusable(UserError):
    """A row that lacks something that a document needs; the message is the reason in few words.

    ``detail`` is specific to this row, such as the missing path.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.detail = detail


EMPTY, UNREAD, UNDECODED = "empty", "cannot be read", "a picture cannot be decoded"
UNREAD_ITEM = "an item cannot be read"


@dataclass(frozen=True)
class PassedOver:
    """Skipped documents of one source."""

    documents_read: int
    """Distinct documents that were requested, skipped ones included."""
    reasons: dict[str, int]
    """Number of skipped documents by reason."""
    first: str
    """The first of them, and the reason in full."""

    def __str__(self) -> str:
        counts = ", ".join(f"{count}: {reason}" for reason, count in self.reasons.items())
        total = sum(self.reasons.values())
        return f"{total} passed over ({counts}; {self.documents_read} documents read): {self.first}"


class ReadingLog:
    """Reads documents of named sources, and records the unusable ones and their reasons.

    ``reader``: of items that are no pictures; without one they are not looked at.
    """

    def __init__(self, reader: ItemReader | None = None) -> None:
        self._reader = reader
        self._reason: dict[str, dict[int, str | None]] = {}
        """By source and document number: why it is unusable; empty: usable; None: its pictures were
        not decoded yet."""
        self._others: dict[str, dict[str, str]] = {}
        self._first: dict[str, str] = {}

    def documents(
        self, source: Source, numbers: Iterable[int], *, pictures: bool = True
    ) -> Iterator[tuple[int, Document]]:
        """Yields the usable ones of these documents, with their numbers.

        Args:
            source: source of the documents; records are kept by its name.
            numbers: numbers of the documents.
            pictures: whether documents are skipped if a picture, or an item that the reader is
                asked for, cannot be decoded.

        Raises:
            UserError: more than three quarters of a fair number of documents cannot be used.
        """
        known = self._reason.setdefault(source.name, {})
        for number in numbers:
            look = pictures and known.get(number) != ""  # decoding is slow: once per document
            reader = self._reader
            document, reason, why = examined(source, number, reader, pictures=look)
            if reason or look:
                known[number] = reason
            known.setdefault(number, None)
            if reason:
                self._first.setdefault(source.name, f"{source.name}[{number}] {why}")
                bad = sum(map(bool, known.values()))
                refuse_absurd(source.name, bad, len(known), why)
            elif document is not None:
                yield number, document

    def pass_over(self, source: Source, what: str, reason: str, why: str) -> None:
        """Counts something else than a document, such as a piece of a walk, as skipped.

        Args:
            source: source that it belongs to.
            what: name that is unique within the source.
            reason: reason in a few words, the same for similar cases.
            why: reason in full.
        """
        self._others.setdefault(source.name, {})[what] = reason
        self._first.setdefault(source.name, f"{source.name}, {what}: {why}")

    def passed_over(self) -> dict[str, PassedOver]:
        """Returns what was skipped, by source; sources without any are left out."""
        found = {}
        for name, first in self._first.items():
            documents = self._reason.get(name, {})
            reasons = chain(filter(None, documents.values()), self._others.get(name, {}).values())
            found[name] = PassedOver(len(documents), dict(Counter(reasons)), first)
        return found


def examined(
    source: Source, number: int, reader: ItemReader | None = None, *, pictures: bool = True
) -> tuple[Document | None, str, str]:
    """Returns a document or None, and why it is unusable in a few words and in full.

    Args:
        source: source of the document.
        number: number of the document.
        reader: of items that are no pictures; None: they are not looked at.
        pictures: whether pictures, and what the reader is asked for, are decoded too.

    Raises:
        LostError: a file with many documents is gone.
        UserError: the source fails unexpectedly.
    """
    try:
        document = checked(source[number])
    except LostError as error:
        raise error.at(f"{source.name}[{number}]") from error
    except UNREADABLE as error:
        return None, UNREAD, str(error)
    except Exception as error:
        raise defect(f"{source.name}[{number}]", error) from error
    if not document.text and not any(document.items):
        return None, EMPTY, "is empty"
    for item in document.items if pictures else ():
        try:
            if isinstance(item, Image):
                item.pixels()
            elif reader is not None:
                reader.read(item)
        except UserError as error:
            reason = UNDECODED if isinstance(item, Image) else UNREAD_ITEM
            return None, reason, str(error)
    return document, "", ""


def refuse_absurd(name: str, bad: int, drawn: int, why: str) -> None:
    """Raises a UserError if most documents of a source are unusable: single ones are skipped.

    Raises:
        UserError: more than three quarters of the documents are unusable, by more than chance
            explains (two standard deviations).
    """
    # Of n documents with probability p = 3/4, the standard deviation is √(n p (1 - p)) = √(3n/16).
    luck = 2 * math.sqrt(drawn * 3 / 16)
    if bad > 3 / 4 * drawn + luck:
        raise UserError(
            f"source {name!r}: {bad} of {drawn} documents cannot be used (the last: {why}); "
            "mend or take out what is broken, or check its settings, such as path and columns. "
            "Documents count as often as they were drawn, and those held out on their own"
        )
