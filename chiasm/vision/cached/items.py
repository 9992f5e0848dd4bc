"""A run's items where streams have latents that were encoded ahead of training, or are kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from chiasm.batch.items import Content
from chiasm.batch.slots import RawLatents
from chiasm.batch.streams import Streams
from chiasm.documents import Continuous
from chiasm.errors import settings_of
from chiasm.tokenizers.streams import StreamTokenizers
from chiasm.vision.cached.kept import KeptLatents
from chiasm.vision.cached.latents import CachedLatents


class CachedItems:
    """Reads latents of streams that have them, and items of the others.

    ``folders``: stream → its setting ``latents``; ``kept``: those of other streams.

    Raises:
        UserError: no latents, those of other settings, or some that are missing or damaged.
    """

    def __init__(
        self,
        tokenizers: StreamTokenizers,
        folders: Mapping[str, str],
        kept: Mapping[str, KeptLatents] | None = None,
    ) -> None:
        self._tokenizers = tokenizers
        self._latents: dict[str, CachedLatents | KeptLatents] = {**(kept or {})}
        for name, folder in folders.items():
            with settings_of(f"streams.{name}"):
                self._latents[name] = CachedLatents(Path(folder).expanduser(), tokenizers[name])

    @property
    def streams(self) -> Streams:
        """Streams of the tokenizers."""
        return self._tokenizers.streams

    def grid(self, item: Continuous) -> tuple[int, ...]:
        """Returns the grid of an item, as the tokenizers do."""
        return self._tokenizers.grid(item)

    def read(self, item: Continuous) -> Content:
        """Returns an item, or its latents.

        Raises:
            CacheError: latents that are not there, or damaged.
            UserError: a payload that is broken.
        """
        stream = self.streams.reading(item.stream, item.target).name
        if stream in self._latents:
            with settings_of(f"streams.{stream}"):
                return RawLatents(self._latents[stream].read(item))
        return self._tokenizers.read(item)
