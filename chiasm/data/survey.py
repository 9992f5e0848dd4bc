"""One pass over the rows of a table: usable rows, identities, and a fingerprint of all.

Shape suffixes: R rows.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xxhash

from chiasm.data.table import Table, Unusable
from chiasm.errors import UserError
from chiasm.rgb import RULE

READING = f"1, pictures by rule {RULE}"
"""Version of the reading code: changed when the same files give other documents than before."""

_HASH_BITS = 48


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
    first: str = ""
    """Detail of the first unusable row that has one, such as a missing path."""

    def refuse_absurd(self) -> None:
        """Raises a UserError if most rows are unusable, which means that a setting is wrong.

        Most is more than three quarters.
        """
        bad = sum(self.skipped.values())
        if 4 * bad > 3 * len(self.identity_R):
            first = f"; the first: {self.first}" if self.first else ""
            rows = f"{bad} of {len(self.identity_R)} rows"
            why = f": {rows} cannot be used ({told(self.skipped)}{first})"
            raise UserError(why, setting="path", remedy="check it and the column settings")


def survey(table: Table, read: Callable[[int], tuple[bytes, ...]]) -> Survey:
    """Returns the result of reading every row once.

    ``read`` returns a row's identity, then everything else that its documents are made of.

    Raises:
        UserError: ``read`` raises one that is not ``Unusable``: a whole column is at fault.
    """
    identities, skipped, first = [], Counter[str](), ""
    whole = xxhash.xxh3_128(f"reading {READING}".encode())
    for number in range(len(table)):
        try:
            parts = read(number)
        except (Unusable, UnicodeEncodeError) as error:
            reason = str(error) if isinstance(error, Unusable) else "half of a letter (a surrogate)"
            skipped[reason] += 1
            first = first or getattr(error, "detail", "")
            identities.append(-1)
            whole.update(f"\0unusable {reason}\0".encode())
            continue
        identities.append(hashed(parts[0]))
        for part in parts:
            whole.update(len(part).to_bytes(8, "little") + part)
    return Survey(np.array(identities, dtype=np.int64), dict(skipped), whole.hexdigest(), first)


def picture_identity(data: Path | bytes, what: str = "picture") -> bytes:
    """Returns a hash of an encoded picture's bytes: equal for equal files, whatever their names.

    ``what``: as reasons call it.

    Raises:
        Unusable: the file is not there, may not be read, or is empty.
    """
    try:
        content = data if isinstance(data, bytes) else data.read_bytes()
    except (FileNotFoundError, ValueError) as error:  # no name holds a NUL
        raise Unusable(f"{what} file missing", str(data)) from error
    except OSError as error:
        raise Unusable(f"{what} file cannot be read ({error.strerror})") from error
    if not content:
        raise Unusable(f"{what} file empty")
    return xxhash.xxh3_128_digest(content)


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
