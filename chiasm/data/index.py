"""What was found in files, kept in the cache folder for as long as the files are unchanged.

Unchanged is told by size, time stamps and inode. The time at which an inode changed cannot be set,
so that an edited file with its old time stamp is another one. A file that changed less than
``SETTLED_NS`` before it was read is read again the next time: clocks are coarse.
"""

from __future__ import annotations

import json
import os
import time
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from chiasm.data.storage import stamp
from chiasm.whole import whole

SETTLED_NS = 2_000_000_000
"""How long files must have been unchanged to be known by their stamps."""

LEAST_SECONDS = 0.05
"""What takes less is not kept."""

_OWN = ("facts", "files", "stamps", "began")


@dataclass(frozen=True)
class Found:
    """What was found in some files."""

    facts: Mapping[str, Any]
    """As JSON has them."""
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    looked_at: Sequence[str] = ()
    """Further files that it depends on, those included that were not there."""


class Index:
    """What was found, by what was looked for and in which files.

    Args:
        folder: where it is kept; None: nowhere.
        least_seconds: what is found in less time is not kept; None: ``LEAST_SECONDS``.
    """

    def __init__(self, folder: Path | None, least_seconds: float | None = None) -> None:
        self._folder = folder
        self._least_seconds = LEAST_SECONDS if least_seconds is None else least_seconds

    def of(self, what: str, files: Iterable[Path], find: Callable[[], Found]) -> Found:
        """Returns what was found in files, earlier if they are unchanged since, else now.

        Args:
            what: names what is looked for, and the version of the code that does.
            files: files that are read, in order.
            find: looks for it.
        """
        if self._folder is None:
            return find()
        names = [str(file) for file in files]
        key = xxhash.xxh3_128_hexdigest("\0".join((what, *names)).encode(errors="surrogateescape"))
        path = self._folder / key[:2] / f"{key}.npz"
        if (kept := _unchanged(path)) is not None:
            return kept
        began, seconds = time.time_ns(), time.perf_counter()
        before = [stamp(name) for name in names]
        found = find()
        if time.perf_counter() - seconds >= self._least_seconds:
            # A further file may have changed since it was read; then it is too young to be trusted.
            further = list(dict.fromkeys(found.looked_at).keys() - {*names})
            _keep(path, found, [*names, *further], [*before, *map(stamp, further)], began)
        return found


NO_INDEX = Index(None)
"""Keeps nothing."""


def _unchanged(path: Path) -> Found | None:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as kept:
            arrays = {name: kept[name] for name in kept.files}
        facts, names, stamps, began = (arrays.pop(name) for name in _OWN)
        files = os.fsdecode(names.tobytes()).split("\0") if names.size else []
        now = np.array([stamp(file) for file in files], dtype=np.int64).reshape(-1, 4)
        settled = int(now[:, 1:3].max(initial=0)) + SETTLED_NS <= int(began)
        if not settled or not np.array_equal(now, stamps):
            return None
        return Found(json.loads(facts.tobytes()), arrays)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None  # there is none, or it is damaged


def _keep(path: Path, found: Found, names: Sequence[str], stamps: Sequence, began: int) -> None:
    own = {
        "facts": np.frombuffer(json.dumps(found.facts).encode(), np.uint8),
        "files": np.frombuffer(os.fsencode("\0".join(names)), np.uint8),
        "stamps": np.array(stamps, dtype=np.int64).reshape(-1, 4),
        "began": np.array(began),
    }
    try:
        with whole(path, shared=True) as aside, aside.open("wb") as written:
            np.savez(written, **own, **found.arrays)  # type: ignore[arg-type]
    except (OSError, UnicodeEncodeError):
        return  # the next opening looks again
