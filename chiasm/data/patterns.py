"""Lists of files in one word: ``{a,b}.tar`` and ``{0000..0127}.tar``, as shells write them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from chiasm.errors import UserError

MOST = 1_000_000
_INNERMOST = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")


def has_braces(path: str) -> bool:
    """Returns whether a path has a list in braces."""
    return any("," in each or _RANGE.fullmatch(each) for each in _INNERMOST.findall(path))


def expanded(path: str, setting: str = "path") -> list[str]:
    """Returns the paths that one with braces stands for, in order; without any, the path alone.

    Raises:
        UserError: they are too many.
    """
    waiting, done = [path], []
    while waiting:
        each = waiting.pop()
        found = _INNERMOST.search(each)
        parts = None if found is None else _parts(found[1])
        if found is None or parts is None:
            done.append(each)
        else:
            waiting += reversed([each[: found.start()] + p + each[found.end() :] for p in parts])
        if len(waiting) + len(done) > MOST:
            raise UserError(f"names more than {MOST:,} files", setting=setting, value=path)
    return done


def _parts(inside: str) -> list[str] | None:
    span = _RANGE.fullmatch(inside)
    if span is None:
        return inside.split(",") if "," in inside else None
    return list(_numbers(*span.groups()))


def _numbers(first: str, last: str) -> Iterator[str]:
    """Yields numbers up or down to the last, with as many digits as the longer of the two."""
    begin, end = int(first), int(last)
    padded = first.startswith("0") or last.startswith("0")
    digits = max(len(first), len(last)) if padded else 0
    step = 1 if end >= begin else -1
    for number in range(begin, end + step, step)[: MOST + 1]:
        yield f"{number:0{digits}}"
