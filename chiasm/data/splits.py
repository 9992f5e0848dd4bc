"""Which files are held out, by their names.

A name counts as held out only by whole words and where the names beside it agree:
``toy train.png`` and a label folder called ``test`` do not count.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chiasm.data.files import relative_names

TRAIN, VALIDATION, TEST = "train", "validation", "test"
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
_NUMBERING = re.compile(r"\d+|of|[0-9a-f]{16}")
"""Parts of names that number the shards of a table: 00000-of-00003, and the hub's hashes."""


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
    relative = relative_names(root, files)
    inside = [name.rpartition("/")[0] for name in relative]
    # Of pictures, of which there may be many, the folders' names alone are looked at.
    names = [Path(name) for name in (relative if by_file else (f"{own}/x" for own in {*inside}))]
    folders = split_folders(names)
    if folders:
        of_folder = {own: _outermost(Path(own), folders) for own in {*inside}}
        splits = [of_folder[own] for own in inside]
    else:
        splits = _by_file(names) if by_file else [TRAIN] * len(files)
    of = {
        split: tuple(file for file, own in zip(files, splits, strict=True) if own == split)
        for split in (TRAIN, VALIDATION, TEST)
    }
    trained = names
    if by_file:
        trained = [name for name, own in zip(names, splits, strict=True) if own == TRAIN]
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
