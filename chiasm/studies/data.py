"""Hashes of the users' files that a study reads: with other data, cells are other cells."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from chiasm.data.fingerprint import fingerprint
from chiasm.data.source import SourceSettings
from chiasm.whole import write_json

FILE = "data.json"


class DataFingerprints:
    """Path → hash of its files' content.

    Args:
        folder: the study's; it keeps the hashes, which count where files are not there any more.
        as_planned: use the kept hashes whatever the files hold by now, so that a report shows what
            was run, and reads no data.
    """

    def __init__(self, folder: Path | None = None, *, as_planned: bool = False) -> None:
        self._folder = folder
        self._as_planned = as_planned
        self._known: dict[str, str] = {}
        self._recorded: dict[str, str] = {}
        if folder is not None and (folder / FILE).exists():
            self._recorded = json.loads((folder / FILE).read_text())

    def of(self, sources: Iterable[SourceSettings]) -> dict[str, str]:
        """Returns the hash of every path that sources name; nothing where all are rendered."""
        paths = [path for source in sources for path in source.paths]
        for path in paths:
            if path and path not in self._known:
                kept = self._recorded.get(path, "")
                found = kept if self._as_planned else ""
                self._known[path] = found or fingerprint(path) or kept
        return {path: self._known[path] for path in paths if path and self._known[path]}

    @property
    def changed(self) -> list[str]:
        """Paths whose content differs from when the study was last planned."""
        return [
            path for path, found in self._known.items() if self._recorded.get(path, found) != found
        ]

    def write(self) -> None:
        """Writes the hashes to the study's folder."""
        assert self._folder is not None
        if self._known:
            write_json(self._folder / FILE, self._recorded | self._known)
