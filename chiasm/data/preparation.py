"""Slow preparations: where their results are kept, and who hears how far they are."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

Stage = Callable[[str, int, int], None]
"""Told about slow preparations: (what, done, of)."""


def silent(what: str, done: int, of: int) -> None:
    """The stage listener that says nothing."""


def default_cache_folder() -> Path:
    """Where rendered worlds and trained tokenizers are kept: $CHIASM_CACHE, else the user's cache
    folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("CHIASM_CACHE") or Path(base) / "chiasm")
