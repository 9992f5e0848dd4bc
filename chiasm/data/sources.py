"""The sources that a recipe names, opened: both sides of each.

Importing this file registers the kinds that read users' files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

import chiasm.data.audio
import chiasm.data.kinds
import chiasm.data.python_manual
import chiasm.data.recorded
import chiasm.data.robots
import chiasm.data.video_files  # noqa: F401
from chiasm.data.reading import ReadingLog
from chiasm.data.source import Opened, Opening, SourceSettings
from chiasm.documents import Source
from chiasm.errors import settings_of


def open_sources(settings: Mapping[str, SourceSettings], opening: Opening) -> dict[str, Opened]:
    """Returns both sides of every source, in the order of ``settings``.

    Raises:
        UserError: a missing setting, an unreadable path, a missing column (the message lists those
            that exist), or a side without documents. Sources that are generated are opened last,
            after such mistakes of the others.
    """
    for name, source in settings.items():
        with settings_of(f"stream.sources.{name}"):
            source.check()
    opened = {}
    for name, source in sorted(settings.items(), key=lambda item: item[1].is_made):
        with settings_of(f"stream.sources.{name}"):
            with source.calling("open()"):
                opened[name] = found = source.open(name, opening)
            if not isinstance(found, Opened):
                returned = f"returned a {type(found).__name__} from {type(source).__name__}.open()"
                raise source.error("kind", returned, "return an Opened")
    # The mixture numbers the sources in the recipe's order.
    return {name: opened[name] for name in settings}


def sample_texts(sources: Mapping[str, Source], characters: int) -> Iterator[str]:
    """Yields texts of evenly spaced documents, of each source about equally many characters."""
    log = ReadingLog()
    for source in sources.values():
        left = characters // len(sources)
        # A stride coprime to the length visits every document once; one near the golden ratio keeps
        # any first few documents spread over the whole source.
        stride = _coprime_near(len(source), len(source) * 0.618)
        numbers = (step * stride % len(source) for step in range(len(source)))
        for _, document in log.documents(source, numbers, pictures=False):
            left -= len(document.text)
            yield document.text
            if left <= 0:
                break


def _coprime_near(length: int, wish: float) -> int:
    stride = max(1, round(wish))
    while np.gcd(stride, length) != 1:
        stride += 1
    return stride
