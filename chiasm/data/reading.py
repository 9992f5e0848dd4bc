"""Documents that can be used, and a count of those that cannot.

The stream passes over a document that is empty, that cannot be read, or that holds a picture which
cannot be decoded. Whatever else reads documents passes over the same ones through this file, so
that one broken file ends nothing, and says how many they were.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from chiasm.documents import Document, Source
from chiasm.errors import UserError, origin

UNREADABLE = (UserError, OSError, ValueError)
"""What a source raises for a document that it cannot read."""


def defect(place: str, error: Exception) -> UserError:
    """Returns the end of a run whose source or encoder fails in a way that it did not foresee."""
    return UserError(
        f"{place}: {type(error).__name__}: {error}{origin(error)}",
        remedy="mend the source or the encoder; where a document cannot be used and is to be "
        "skipped and counted, raise a ValueError",
    )


def checked(document: Document) -> Document:
    """Returns what a source gave.

    Raises:
        TypeError: it is no document.
    """
    if not isinstance(document, Document):
        raise TypeError(f"the source gave a {type(document).__name__}; a Document is asked for")
    return document


EMPTY, UNREAD, UNDECODED = "empty", "cannot be read", "a picture cannot be decoded"


@dataclass(frozen=True)
class PassedOver:
    """What of one source was not used."""

    documents_read: int
    """Different documents that were asked for, those that were passed over among them."""
    reasons: dict[str, int]
    """Why → how many."""
    first: str
    """The first of them, and why in full."""

    def __str__(self) -> str:
        counts = ", ".join(f"{count}: {reason}" for reason, count in self.reasons.items())
        total = sum(self.reasons.values())
        return f"{total} passed over ({counts}; {self.documents_read} documents read): {self.first}"


class ReadingLog:
    """Reads documents of named sources, and remembers which could not be used, and why."""

    def __init__(self) -> None:
        self._reason: dict[str, dict[int, str | None]] = {}
        """Of each document read: why it cannot be used; empty: it can; None: its pictures were not
        looked at."""
        self._others: dict[str, dict[str, str]] = {}
        self._first: dict[str, str] = {}

    def documents(
        self, source: Source, numbers: Iterable[int], *, pictures: bool = True
    ) -> Iterator[tuple[int, Document]]:
        """Those of these documents that can be used, with their numbers.

        Args:
            source: gives them; it is known by its name.
            numbers: of the documents.
            pictures: whether a document is passed over whose pictures cannot all be decoded.

        Raises:
            UserError: more than three quarters of a fair number of documents cannot be used.
        """
        known = self._reason.setdefault(source.name, {})
        for number in numbers:
            look = pictures and known.get(number) != ""
            document, reason, why = _read(source, number, look)
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
        """Count something else than a document, such as a piece of a walk, that is not used.

        Args:
            source: where it is from.
            what: tells it from the source's others.
            reason: in a few words that others share.
            why: in full.
        """
        self._others.setdefault(source.name, {})[what] = reason
        self._first.setdefault(source.name, f"{source.name}, {what}: {why}")

    def passed_over(self) -> dict[str, PassedOver]:
        """By source, for those of which anything was."""
        found = {}
        for name, first in self._first.items():
            documents = self._reason.get(name, {})
            reasons = chain(filter(None, documents.values()), self._others.get(name, {}).values())
            found[name] = PassedOver(len(documents), dict(Counter(reasons)), first)
        return found


def _read(source: Source, number: int, pictures: bool) -> tuple[Document | None, str, str]:
    """A document, or a reason in a few words and in full."""
    try:
        document = checked(source[number])
    except UNREADABLE as error:
        return None, UNREAD, str(error)
    except Exception as error:
        raise defect(f"{source.name}[{number}]", error) from error
    if not document.text and not any(document.items):
        return None, EMPTY, "is empty"
    if pictures:
        try:
            for image in document.images:
                image.pixels()
        except UserError as error:
            return None, UNDECODED, str(error)
    return document, "", ""


def refuse_absurd(name: str, bad: int, drawn: int, why: str) -> None:
    """Single bad documents are passed over; a source that is mostly bad is a mistake.

    Raises:
        UserError: more than three quarters of the documents cannot be used, by more than the luck
            of the order explains (two standard deviations).
    """
    luck = 2 * math.sqrt(drawn * 3 / 16)
    if bad > 3 / 4 * drawn + luck:
        raise UserError(
            f"source {name!r}: {bad} of {drawn} documents cannot be used (the last: {why}); "
            "check its settings, such as path and columns"
        )
