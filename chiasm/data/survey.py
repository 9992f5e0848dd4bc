"""One pass over the rows of a table: usable rows, identities, and a fingerprint of all.

Shape suffixes: R rows.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xxhash

from chiasm.data.index import Found
from chiasm.data.media import IMAGE, Medium
from chiasm.data.reading import Unusable
from chiasm.data.storage import stamp
from chiasm.data.table import Table
from chiasm.errors import UserError
from chiasm.rgb import RULE

READING = f"1, pictures by rule {RULE}"
"""Version of the reading code: changed when the same files give other documents than before."""

BESIDE = "a picture without a document of its own"
"""Reason of rows that are no mistake: pictures that the documents beside them may show."""

_TOLD = 20
"""Unusable rows that are told one by one."""
_HASH_BITS = 48
_BLOCK_BYTES = 1 << 20
_EMPTY = xxhash.xxh3_128_digest(b"")
_BY_NAME = "names-"


@dataclass(frozen=True)
class Survey:
    """Result of one pass over a table's rows."""

    identity_R: np.ndarray
    """int64 [R]: a hash below 2^48 of what must not be on both sides: the group, the picture or the
    text; -1 for unusable rows."""
    skipped: dict[str, int]
    """Number of unusable rows by reason."""
    fingerprint: str
    """Hash of everything that documents are made of, and of the code that makes them."""
    unusable: tuple[str, ...] = ()
    """The first unusable rows, with their files and reasons in full."""

    def found(self, varied: bool, looked_at: Sequence[str] = ()) -> Found:
        """Returns the result as an index keeps it; see :meth:`of`."""
        facts = {name: getattr(self, name) for name in ("skipped", "fingerprint", "unusable")}
        return Found({**facts, "varied": varied}, {"identity": self.identity_R}, looked_at)

    @classmethod
    def of(cls, found: Found) -> Survey:
        """Returns the result that an index has kept."""
        skipped, fingerprint, unusable = (
            found.facts[name] for name in ("skipped", "fingerprint", "unusable")
        )
        return cls(found.arrays["identity"], skipped, fingerprint, tuple(unusable))

    def refuse_absurd(self) -> None:
        """Raises a UserError if most rows are unusable, which means that a setting is wrong.

        Most is more than three quarters.
        """
        total = len(self.identity_R) - self.skipped.get(BESIDE, 0)
        bad = sum(self.skipped.values()) - self.skipped.get(BESIDE, 0)
        if 4 * bad > 3 * total or not total:
            first = f"; the first: {self.unusable[0]}" if self.unusable else ""
            why = f": {bad} of {total} rows cannot be used ({told(self.skipped)}{first})"
            raise UserError(why, setting="path", remedy="check it and the column settings")


def survey(table: Table, read: Callable[[int], tuple[bytes, ...]]) -> Survey:
    """Returns the result of reading every row once.

    ``read`` returns a row's identity, then everything else that its documents are made of.

    Raises:
        UserError: ``read`` raises one that is not ``Unusable``: a whole column is at fault.
    """
    identities, skipped, unusable = array("q"), Counter[str](), list[str]()
    whole = xxhash.xxh3_128(f"reading {READING}".encode())
    for number in range(len(table)):
        try:
            parts = read(number)
        except (Unusable, UnicodeEncodeError) as error:
            reason = str(error) if isinstance(error, Unusable) else "half of a letter (a surrogate)"
            skipped[reason] += 1
            if reason != BESIDE and len(unusable) < _TOLD:
                unusable.append(_in_full(table, number, reason, getattr(error, "detail", "")))
            identities.append(-1)
            whole.update(f"\0unusable {reason}\0".encode())
            continue
        identities.append(hashed(parts[0]))
        for part in parts:
            whole.update(len(part).to_bytes(8, "little") + part)
    identity_R = np.array(identities, dtype=np.int64)
    return Survey(identity_R, dict(skipped), whole.hexdigest(), tuple(unusable))


def _in_full(table: Table, number: int, reason: str, detail: str) -> str:
    """Returns which row is unusable, and why."""
    if detail:
        return detail if reason in detail else f"{reason}: {detail}"
    return f"{reason}: {table.name(number).decode(errors='replace').replace(chr(0), ', row ')}"


def outline(table: Table) -> Survey:
    """Returns a survey that reads no row: identities and fingerprint by names, and files' sizes."""
    names = [table.name(number) for number in range(len(table))]
    sizes = [stamp(str(file))[0] for file in table.files]
    whole = xxhash.xxh3_128(f"outline {READING} {sizes}".encode())
    for name in names:
        whole.update(len(name).to_bytes(8, "little") + name)
    identities = np.array([hashed(name) for name in names], dtype=np.int64)
    return Survey(identities, {}, f"{_BY_NAME}{whole.hexdigest()}")


def is_of_content(fingerprint: str) -> bool:
    """Returns whether a fingerprint is one of content, and not of names and sizes alone."""
    return not fingerprint.startswith(_BY_NAME)


def file_identity(data: Path | bytes, medium: Medium = IMAGE) -> bytes:
    """Returns a hash of a file's bytes: equal for equal files, whatever their names.

    Raises:
        Unusable: the file is not there, may not be read, or is empty.
    """
    try:
        found = xxhash.xxh3_128_digest(data) if isinstance(data, bytes) else _hash_of(data)
    except (FileNotFoundError, ValueError) as error:  # no name holds a NUL
        raise Unusable(f"{medium.noun} file missing", str(data)) from error
    except OSError as error:
        why = f"{medium.noun} file cannot be read ({error.strerror})"
        raise Unusable(why, str(data)) from error
    if found == _EMPTY:
        raise Unusable(f"{medium.noun} file empty", "" if isinstance(data, bytes) else str(data))
    return found


def _hash_of(file: Path) -> bytes:
    """Returns a hash of a file, of which a block is in memory at a time."""
    digest = xxhash.xxh3_128()
    with file.open("rb") as opened:
        while block := opened.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.digest()


def text_identity(text: str) -> bytes:
    """Returns the words of a text: equal for texts that differ only in white space."""
    return " ".join(text.split()).encode()


def hashed(identity: bytes) -> int:
    """Returns a number below 2^48, the same for the same bytes in every process."""
    return int.from_bytes(hashlib.sha256(identity).digest()[: _HASH_BITS // 8], "little")


def draw(identities: np.ndarray) -> np.ndarray:
    """Returns float64 in [0, 1) for each identity: those below the fraction are held out."""
    return identities / 2.0**_HASH_BITS


def told(skipped: dict[str, int]) -> str:
    """Returns the reasons and their counts in words."""
    ranked = sorted(skipped.items(), key=lambda item: -item[1])
    return ", ".join(f"{reason}: {count:,}" for reason, count in ranked)
