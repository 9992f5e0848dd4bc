"""The files of a path: which are read, and which are left out.

A path is a file, a folder, a pattern such as ``data/train-*.parquet``, or a list such as
``{0000..0127}.tar``; lists may be of addresses that ``fsspec`` opens. Of a folder, hidden
files, leftovers of editors and archives, folders of runs, and files *about* data (licences,
read-mes, descriptions) are left out.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from chiasm.data.listing import below, is_leaving
from chiasm.data.patterns import expanded, has_braces
from chiasm.data.storage import URL, absent, listed, named, url_of
from chiasm.errors import UserError

_ABOUT = re.compile(
    r"(readme|licen[cs]es?|notice|copying|authors|citation|changelog|changes)"
    r"([-_]\w+|\.\w+(?=\.))?(\.(txt|md|rst|html?|pdf|cff|bib|json|ya?ml))?",
    re.IGNORECASE,
)
_DESCRIPTIONS = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json")
_PATTERN = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Files:
    """The files of one path, sorted by name."""

    root: Path
    """The folder that names are shown relative to."""
    data: tuple[Path, ...]
    left: tuple[Path, ...]
    """Files not read because of their names (licences, read-mes, descriptions), and dead links."""


def relative_names(root: Path, files: Iterable[Path]) -> list[str]:
    """Returns names relative to the root, of files that lie there."""
    # Of ten thousands of files Path.relative_to takes a second.
    begin = len(_beginning(root))
    return [str(file)[begin:] for file in files]


def _beginning(root: Path) -> str:
    """Returns what the names of files below a folder begin with."""
    return "" if root == Path() else f"{str(root).rstrip('/')}/"


def shown_names(files: Iterable[Path], root: Path) -> list[str]:
    """Returns names to print: relative to the root where they lie there, always valid Unicode."""
    begin = _beginning(root)
    names = (str(file).removeprefix(begin) for file in files)
    return [os.fsencode(name).decode(errors="replace") for name in names]


def shown_name(file: Path, root: Path) -> str:
    """Returns one of :func:`shown_names`."""
    return shown_names([file], root)[0]


def find_files(path: str, setting: str = "path") -> Files | None:
    """Returns the files of a file, a folder or a pattern; None if the path does not exist.

    Raises:
        UserError: a pattern that no file matches, or a folder that may not be read.
    """
    given = Path(path)
    if os.path.isfile(path):
        return Files(given.parent, (given,), ())
    if os.path.isdir(path):
        return _split_off(given, below(given, setting))
    if URL.match(path):
        places = [place for each in expanded(path, setting) for place in listed(each, setting)]
        if places and not url_of(places[0]):  # of file://
            return _joined(path, map(str, places), setting)
        _refuse_gone(path, map(named, absent(places)), setting)
        parent = places[0].parent if places else Path()
        return Files(parent, tuple(sorted({*places})), ())
    if has_braces(path):
        return _joined(path, expanded(path, setting), setting)
    root = next((above for above in given.parents if os.path.isdir(above)), Path())
    pattern = str(given.relative_to(root))  # an existing folder may be called a[1]
    if not _PATTERN.search(pattern):
        return None
    found = [root / match for match in glob.glob(pattern, root_dir=root, recursive=True)]
    inside = [
        own
        for each in found
        for own in ([(str(each), True)] if each.is_file() else below(each, setting))
    ]
    if not inside:
        raise UserError("matches no file", setting=setting, value=path, remedy="check the pattern")
    return _split_off(root, inside)


def _joined(path: str, parts: Iterable[str], setting: str) -> Files:
    """Returns the files of several paths.

    Raises:
        UserError: one is not there.
    """
    found = {part: find_files(part, setting) for part in parts}
    _refuse_gone(path, (part for part, own in found.items() if own is None), setting)
    every = [own for own in found.values() if own is not None]
    root = Path(os.path.commonpath([own.root for own in every]))
    data = {file: None for own in every for file in own.data}
    left = {file: None for own in every for file in own.left}
    return Files(root, tuple(sorted(data)), tuple(left))


def _refuse_gone(path: str, names: Iterable[str], setting: str) -> None:
    """Raises a UserError if there are any: a shard of a list that is left out in silence would be
    missed only when training is over."""
    gone = list(names)
    if gone:
        more = f" and {len(gone) - 3} more" if len(gone) > 3 else ""
        why = f"names files that are not there: {', '.join(gone[:3])}{more}"
        raise UserError(why, setting=setting, value=path, remedy="fetch them, or leave them out")


def _split_off(root: Path, found: Iterable[tuple[str, bool]]) -> Files:
    begin = _beginning(root)
    names = {name.removeprefix("./").removeprefix(begin): is_file for name, is_file in found}
    # As paths are sorted.
    parted = sorted((name.split("/"), is_file) for name, is_file in names.items())
    runs = {tuple(parts[:-1]) for parts, _ in parted if parts[-1] == "recipe.toml"} - {()}
    data: list[Path] = []
    left: list[Path] = []
    for parts, is_file in parted:
        if any(map(is_leaving, parts)) or (runs and not runs.isdisjoint(_above(parts))):
            continue
        path = Path(begin + "/".join(parts))
        (data if is_file and not _is_about(parts[-1]) else left).append(path)
    return Files(root, tuple(data), tuple(left))


def _above(parts: Sequence[str]) -> Iterator[tuple[str, ...]]:
    return (tuple(parts[:end]) for end in range(1, len(parts)))


def _is_about(name: str) -> bool:
    return name in _DESCRIPTIONS or _ABOUT.fullmatch(name) is not None
