"""The files of a path: which are read, which are left out, and which are held out.

A path is a file, a folder, or a pattern such as ``data/train-*.parquet``. Of a folder, hidden
files, leftovers of editors and archives, folders of runs, and files *about* data (licences,
read-mes, descriptions) are left out. A name counts as held out only by whole words and where the
names beside it agree: ``toy train.png`` and a label folder called ``test`` do not count.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from chiasm.errors import UserError

TRAIN, VALIDATION, TEST = "train", "validation", "test"
PICTURE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".avif")
)
VIDEO_SUFFIXES = frozenset(
    (
        *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".flv", ".3gp", ".wmv", ".ogv"),
        *(".ts", ".m2ts", ".mts", ".mpg", ".mpeg", ".vob"),
    )
)
MEDIA: dict[str, frozenset[str]] = {"image": PICTURE_SUFFIXES, "video": VIDEO_SUFFIXES}
"""Suffixes of files that are rows by themselves, by the column that holds them."""
_WORDS = {
    "train": TRAIN,
    "training": TRAIN,
    "validation": VALIDATION,
    "valid": VALIDATION,
    "val": VALIDATION,
    "dev": VALIDATION,
    "test": TEST,
    "testing": TEST,
    "eval": TEST,
}
_ABOUT = re.compile(
    r"(readme|licen[cs]es?|notice|copying|authors|citation|changelog|changes)"
    r"([-_]\w+|\.\w+(?=\.))?(\.(txt|md|rst|html?|pdf|cff|bib|json|ya?ml))?",
    re.IGNORECASE,
)
_DESCRIPTIONS = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json")
_LEAVINGS = ("thumbs.db", "desktop.ini", "__macosx", "@eadir")
_PATTERN = re.compile(r"[*?\[]")
_NUMBERING = re.compile(r"\d+|of|[0-9a-f]{16}")
"""Parts of names that number the shards of a table: 00000-of-00003, and the hub's hashes."""


@dataclass(frozen=True)
class Files:
    """The files of one path, sorted by name."""

    root: Path
    """The folder that names are shown relative to."""
    data: tuple[Path, ...]
    left: tuple[Path, ...]
    """Files not read because of their names (licences, read-mes, descriptions), and dead links."""


def shown_name(file: Path, root: Path) -> str:
    """Returns a name to print: relative to the root where it lies there, always valid Unicode."""
    name = file.relative_to(root).as_posix() if file.is_relative_to(root) else str(file)
    return os.fsencode(name).decode(errors="replace")


def find_files(path: str, setting: str = "path") -> Files | None:
    """Returns the files of a file, a folder or a pattern; None if the path does not exist.

    Raises:
        UserError: a pattern that no file matches, or a folder that may not be read.
    """
    given = Path(path)
    if os.path.isfile(path):
        return Files(given.parent, (given,), ())
    if os.path.isdir(path):
        return _split_off(given, _inside(given, setting))
    root = next((above for above in given.parents if os.path.isdir(above)), Path())
    pattern = str(given.relative_to(root))  # an existing folder may be called a[1]
    if not _PATTERN.search(pattern):
        return None
    found = [root / match for match in glob.glob(pattern, root_dir=root, recursive=True)]
    inside = [
        file for each in found for file in ([each] if each.is_file() else _inside(each, setting))
    ]
    if not inside:
        raise UserError("matches no file", setting=setting, value=path, remedy="check the pattern")
    return _split_off(root, inside)


def _inside(folder: Path, setting: str) -> Iterator[Path]:
    """Yields the files below a folder, following links; each real folder is read once."""

    def refuse(error: OSError) -> NoReturn:
        why = f": {error.filename} cannot be read: {error.strerror}"
        raise UserError(why, setting=setting) from error

    seen: set[str] = set()
    starts = [folder]
    for start in starts:
        for above, folders, names in os.walk(start, onerror=refuse):
            real = os.path.realpath(above)
            folders[:] = sorted(name for name in folders if not is_leaving(name))
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            here = Path(above)
            starts += [here / name for name in folders if (here / name).is_symlink()]
            yield from (here / name for name in names)


def _split_off(root: Path, found: Iterable[Path]) -> Files:
    paths = sorted(set(found))
    runs = {path.parent for path in paths if path.name == "recipe.toml"} - {root}
    paths = [
        path
        for path in paths
        if not any(map(is_leaving, path.relative_to(root).parts))
        and (not runs or runs.isdisjoint(path.parents))
    ]
    data = tuple(path for path in paths if path.is_file() and not _is_about(path))
    kept = set(data)
    return Files(root, data, tuple(path for path in paths if path not in kept))


def is_leaving(name: str) -> bool:
    """Returns whether a name is hidden, or a leftover of an editor, an archive or a library."""
    return (
        name.startswith((".", "~$"))
        or name.lower() in _LEAVINGS
        or (name.startswith("cache-") and name.endswith(".arrow"))  # of datasets' map and filter
    )


def _is_about(file: Path) -> bool:
    return file.name in _DESCRIPTIONS or _ABOUT.fullmatch(file.name) is not None


@dataclass(frozen=True)
class SplitFiles:
    """Training and held-out files, by their names."""

    train: tuple[Path, ...]
    validation: tuple[Path, ...] = ()
    test: tuple[Path, ...] = ()
    doubtful: tuple[str, ...] = ()
    """Training files named like a held-out split, without names beside them that agree."""

    @property
    def held_out(self) -> tuple[Path, ...]:
        """Validation files, else test files; empty if no name counts as held out."""
        return self.validation or self.test

    @property
    def left(self) -> tuple[Path, ...]:
        """Files of a second held-out split: used neither for training nor for evaluation."""
        return self.test if self.validation else ()


def split_by_name(root: Path, files: Sequence[Path], *, by_file: bool = True) -> SplitFiles:
    """Returns the training and the held-out files, by the field's naming conventions.

    - Folders: see :func:`split_folders`.
    - Files, with ``by_file``: the name is the word of a split (``valid.txt``), or has one among its
      parts (``train-00000-of-00003.parquet``, ``cc-test-0001.tar``) and another file differs from
      it in that word and in numbers alone.
    """
    names = [file.relative_to(root) for file in files]
    folders = split_folders(names)
    if folders:
        of_folder = {folder: _outermost(folder, folders) for folder in {n.parent for n in names}}
        splits = [of_folder[name.parent] for name in names]
    else:
        splits = _by_file(names) if by_file else [TRAIN] * len(names)
    of = {
        split: tuple(file for file, own in zip(files, splits, strict=True) if own == split)
        for split in (TRAIN, VALIDATION, TEST)
    }
    pairs = zip(names, splits, strict=True)
    trained = [name for name, split in pairs if split == TRAIN]
    doubtful = () if folders else _doubtful(trained, by_file=by_file)
    return SplitFiles(of[TRAIN], of[VALIDATION], of[TEST], doubtful)


def split_folders(names: Iterable[Path]) -> dict[Path, str]:
    """Returns split by folder, for the folders of relative names that are splits.

    Siblings are splits if all of them are named after splits, and if ``train`` and a held-out one
    differ in that word and in numbers alone: ``train/ test/``, ``images/train2017/
    images/val2017/``, ``dev-clean/ train-clean-100/``.
    """
    folders = {
        above for parent in {n.parent for n in names} for above in (parent, *parent.parents)
    } - {Path()}
    beside: dict[Path, dict[Path, tuple[str, tuple[str, ...]]]] = {}
    for folder in folders:
        beside.setdefault(folder.parent, {})[folder] = _parsed(folder.name)
    found: dict[Path, str] = {}
    for siblings in beside.values():
        if all(split for split, _ in siblings.values()) and any(
            kinds > {TRAIN} for kinds in _families(siblings.values()).values()
        ):
            found |= {folder: split for folder, (split, _) in siblings.items()}
    return found


def _outermost(folder: Path, splits: Mapping[Path, str]) -> str:
    chain = reversed((folder, *folder.parents))
    return next((splits[each] for each in chain if each in splits), TRAIN)


def _by_file(names: Sequence[Path]) -> list[str]:
    """Returns the split of each file by its own name."""
    parsed = [_parsed(name.stem) for name in names]
    keys = [
        (split, (name.parent, *rest)) for name, (split, rest) in zip(names, parsed, strict=True)
    ]
    kinds = _families(keys)
    told = [
        split
        if name.stem.lower() in _WORDS or len(kinds[rest] - {""}) > 1 or split == TRAIN
        else ""
        for name, (split, rest) in zip(names, keys, strict=True)
    ]
    if {VALIDATION, TEST}.isdisjoint(told) or len(set(told)) == 1:
        return [TRAIN] * len(names)  # all are alike: a set that happens to be called so
    return [split or TRAIN for split in told]


def _families(parsed: Iterable[tuple[str, tuple]]) -> dict[tuple, set[str]]:
    """Returns, by the rest of a name, the splits of the names that share it."""
    kinds: dict[tuple, set[str]] = {}
    for split, rest in parsed:
        kinds.setdefault(rest, set()).add(split)
    return kinds


def _parsed(name: str) -> tuple[str, tuple[str, ...]]:
    """Returns the split whose word a name has, or ``""``, and its other parts but numbers."""
    parts = [part for part in re.split(r"[-._]+", name) if part]
    split = next((_word(part) for part in parts if _word(part)), "")
    return split, tuple(p for p in parts if not _word(p) and not _NUMBERING.fullmatch(p))


def _doubtful(names: Collection[Path], *, by_file: bool) -> tuple[str, ...]:
    held_out = (VALIDATION, TEST)
    folders = {part for parent in {name.parent for name in names} for part in parent.parts}
    found = sorted(f"{folder}/" for folder in folders if _word(folder) in held_out)
    if by_file and len(names) > 1:
        found += [name.as_posix() for name in names if _parsed(name.stem)[0] in held_out]
    return tuple(found)


def _word(name: str) -> str:
    """Returns the split that a word means, or ``""``; a year may follow, as in val2017."""
    return _WORDS.get(name.lower().rstrip("0123456789"), "")
