"""Slow preparations: the folder of their results, and the callback that reports progress."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

Stage = Callable[[str, int, int], None]
"""Callback of slow preparations: (what, done, of)."""


def silent(what: str, done: int, of: int) -> None:
    """Ignores the progress of a preparation."""


def default_cache_folder() -> Path:
    """Returns the folder of rendered worlds and trained tokenizers.

    It is $CHIASM_CACHE, else ``chiasm`` in the user's cache folder.
    """
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("CHIASM_CACHE") or Path(base) / "chiasm")
