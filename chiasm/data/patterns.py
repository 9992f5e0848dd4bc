"""Lists of files in one word: ``{a,b}.tar`` and ``{0000..0127}.tar``, as shells write them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice

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
    found = list(islice(_expanded(path), MOST + 1))
    if len(found) > MOST:
        raise UserError(f"names more than {MOST:,} files", setting=setting, value=path)
    return found


def _expanded(path: str) -> Iterator[str]:
    begin, end = _first(path)
    if not end:
        yield path
        return
    inside = path[begin + 1 : end - 1]
    parts = _parts(inside)
    if parts is None:  # these braces are characters of a name
        yield from (path[: begin + 1] + each for each in _expanded(path[begin + 1 :]))
        return
    rests = list(islice(_expanded(path[end:]), MOST + 1))
    for part in parts:
        for each in _expanded(part):
            yield from (path[:begin] + each + rest for rest in rests)


def _first(path: str) -> tuple[int, int]:
    """Returns begin and end of the first braces that are closed; (0, 0) if there are none."""
    for begin, character in enumerate(path):
        if character == "{":
            depth = 0
            for place in range(begin, len(path)):
                depth += {"{": 1, "}": -1}.get(path[place], 0)
                if not depth:
                    return begin, place + 1
    return 0, 0


def _parts(inside: str) -> Iterable[str] | None:
    """Returns what stands between the commas of braces, or the numbers of a range."""
    if span := _RANGE.fullmatch(inside):
        return _numbers(*span.groups())
    parts, depth = [""], 0
    for character in inside:
        depth += {"{": 1, "}": -1}.get(character, 0)
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return parts if len(parts) > 1 else None


def _numbers(first: str, last: str) -> Iterator[str]:
    """Yields numbers up or down to the last, with as many digits as the longer of the two."""
    begin, end = int(first), int(last)
    padded = first.startswith("0") or last.startswith("0")
    digits = max(len(first), len(last)) if padded else 0
    step = 1 if end >= begin else -1
    for number in range(begin, end + step, step)[: MOST + 1]:
        yield f"{number:0{digits}}"
