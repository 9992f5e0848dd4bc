"""Texts for others: without folders and users of one machine, and secrets of addresses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

_SECRETS = re.compile(r"(?<=://)[^\s/@]+@|(?<=\w)\?[^\s'\"]*=[^\s'\"]*")
"""Of an address: who asks, and what stands behind a question mark."""

_FOLDERS = re.compile(r"(?<![\w.:/~-])(?:~[\w.-]*|\.\.)?/(?:[^\s/'\"]+/)*(?=[^\s/'\"])")
"""The folders of a path that is absolute, or leads upwards."""


def public(content: Any) -> Any:
    """Returns a text, or nested lists and dictionaries of texts, as anyone may read it.

    Of a path that is absolute or leads upwards the last part is left; relative paths, addresses and
    ids of the hub stay.
    """
    if isinstance(content, Mapping):
        return {name: public(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [public(value) for value in content]
    if not isinstance(content, str):
        return content
    text = content.replace("file://", "")
    if text.startswith(("/", "~", "../")) and "\n" not in text:  # blanks may be in its names
        return PurePosixPath(text).name
    return _FOLDERS.sub("", _SECRETS.sub("", text))
