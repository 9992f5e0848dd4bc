"""The kind ``python_manual``: the reference texts that come with Python."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import ClassVar, Literal

from chiasm.data.kinds import TextSettings
from chiasm.data.source import SOURCES, Opened, Opening, SourceSettings
from chiasm.errors import UserError
from chiasm.whole import whole

_HELD_OUT = 0.5
"""Held-out share of the texts; the rest is not trained on."""


@SOURCES.register
class ManualSettings(SourceSettings):
    """The reference texts of this Python: another domain to measure words on."""

    kind: Literal["python_manual"] = "python_manual"

    usual_license: ClassVar[str] = "psf-2.0"

    @property
    def has_pictures(self) -> bool:
        """False: texts alone."""
        return False

    def open(self, name: str, opening: Opening) -> Opened:
        """Returns both sides, written into the cache first."""
        folder = str(_manual(opening.cache_folder))
        return TextSettings(path=folder, held_out_fraction=_HELD_OUT).open(name, opening)


def _manual(cache_folder: Path) -> Path:
    """Returns a folder of the reference texts that come with this Python; writes it if missing."""
    folder = cache_folder / "texts" / f"python-manual-{platform.python_version()}"
    if not folder.exists():
        topics = _manual_topics()
        with whole(folder, shared=True) as aside:
            aside.mkdir()
            for topic, text in topics.items():
                (aside / f"{topic}.txt").write_text(text, encoding="utf-8")
    return folder


def _manual_topics() -> dict[str, str]:
    try:
        from pydoc_data.topics import topics
    except ImportError as error:  # some distributions leave it out
        raise UserError(
            "this Python comes without its reference texts (pydoc_data), which held_out sources of "
            'kind "python_manual" read; install the full standard library, or name a folder of '
            'texts with kind = "text"'
        ) from error
    return topics
