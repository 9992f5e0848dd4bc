"""What a path holds: its files, what is left out of them, and which of them are held out.

A path is a file, a folder, or a pattern such as ``data/train-*.parquet``. Of a folder, hidden
files, the leavings of editors and archives, folders of runs, and the files that speak *about* data
(licences, read-mes, descriptions) are left out. What counts as held out by its name is decided on
whole words and only where the names beside it agree: ``toy train.png`` and a label folder called
``test`` are neither.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from chiasm.errors import UserError

TRAIN, VALIDATION, TEST = "train", "validation", "test"
PICTURE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".avif")
)
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
    r"(readme|licen[cs]e|licences|licenses|notice|copying|authors|citation|changelog|changes)"
    r"([-._ ].*)?",
    re.IGNORECASE,
)
_DESCRIPTIONS = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json")
_LEAVINGS = ("thumbs.db", "desktop.ini", "__macosx")
_PATTERN = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Files:
    """The files of one path, sorted by name."""

    root: Path
    """The folder that names are told relative to."""
    data: tuple[Path, ...]
    left: tuple[Path, ...]
    """Not read because of their names: licences, read-mes, descriptions."""

    def name(self, file: Path) -> str:
        """The file's name relative to the root."""
        return file.relative_to(self.root).as_posix()


def find_files(path: str, setting: str) -> Files | None:
    """Returns the files of a file, a folder or a pattern; None where nothing is there.

    Raises:
        UserError: a pattern that no file matches.
    """
    given = Path(path)
    if given.is_file():
        return Files(given.parent, (given,), ())
    if given.is_dir():
        return _split_off(given, given.rglob("*"))
    if not _PATTERN.search(path):
        return None
    parts = given.parts
    fixed = next(number for number, part in enumerate(parts) if _PATTERN.search(part))
    root = Path(*parts[:fixed])
    found = [Path(match) for match in glob.glob(path, recursive=True)]
    inside = [file for each in found for file in ([each] if each.is_file() else each.rglob("*"))]
    if not inside:
        raise UserError(f"{setting} = {path!r} matches no file; check the pattern")
    return _split_off(root, inside)


def _split_off(root: Path, found: Iterable[Path]) -> Files:
    paths = list(found)
    runs = {path.parent for path in paths if path.name == "recipe.toml"} - {root}
    files = sorted(
        path
        for path in set(paths)
        if path.is_file() and not _is_leaving(root, path) and runs.isdisjoint(path.parents)
    )
    about = {file for file in files if _is_about(file)}
    data = tuple(file for file in files if file not in about)
    return Files(root, data, tuple(sorted(about)))


def _is_leaving(root: Path, file: Path) -> bool:
    return any(
        part.startswith((".", "~$")) or part.lower() in _LEAVINGS
        for part in file.relative_to(root).parts
    )


def _is_about(file: Path) -> bool:
    return file.name in _DESCRIPTIONS or _ABOUT.fullmatch(file.name) is not None


@dataclass(frozen=True)
class SplitFiles:
    """Files to train on and held-out files, where their names tell them apart."""

    train: tuple[Path, ...]
    held_out: tuple[Path, ...] = ()
    """Empty where no name says so."""
    left: tuple[Path, ...] = ()
    """Of a second held-out split: neither trained on nor measured on."""


def split_by_name(
    root: Path, files: Sequence[Path], setting: str, *, by_file: bool = True
) -> SplitFiles:
    """Returns which files train and which are held out, by the field's conventions.

    - Folders: all folders of one level are called after splits, ``train`` among them:
      ``train/ test/``, ``images/train2017/ images/val2017/``.
    - Files, with ``by_file``: the name is the word of a split (``valid.txt``), or has one among its
      parts (``train-00000-of-00003.parquet``, ``cc-test-0001.tar``) and another file differs from
      it in that word and in numbers alone.

    Validation files are held out before test files, which then are not read.

    Raises:
        UserError: there are files to validate and to test on, and none to train on.
    """
    names = [file.relative_to(root) for file in files]
    splits = _by_folder(names) or (_by_file(names) if by_file else None)
    if splits is None:
        return SplitFiles(tuple(files))
    of = {
        split: tuple(file for file, own in zip(files, splits, strict=True) if own == split)
        for split in (TRAIN, VALIDATION, TEST)
    }
    if not of[TRAIN]:
        shown = ", ".join(name.as_posix() for name in names[:4])
        raise UserError(
            f"{setting} = {str(root)!r} holds files to validate and to test on, and none to train "
            f"on ({shown}); name the file to train on with {setting}, and the one to hold out with "
            f"{setting.removesuffix('path')}held_out_path"
        )
    if of[VALIDATION]:
        return SplitFiles(of[TRAIN], of[VALIDATION], of[TEST])
    return SplitFiles(of[TRAIN], of[TEST])


def _by_folder(names: Sequence[Path]) -> list[str] | None:
    """The split of each file by the outermost level of folders that is one of splits."""
    for level in range(max(len(name.parts) for name in names) - 1):
        deep = [name for name in names if len(name.parts) > level + 1]
        for above in sorted({name.parts[:level] for name in deep}):
            inside = {name for name in deep if name.parts[:level] == above}
            split = {name: _word(name.parts[level]) for name in inside}
            if set(split.values()) > {TRAIN} and "" not in split.values():
                return [split.get(name, TRAIN) for name in names]
    return None


def _by_file(names: Sequence[Path]) -> list[str] | None:
    """The split of each file by its own name."""
    parts = [[part for part in re.split(r"[-._]+", name.stem) if part] for name in names]
    own = [next((_word(part) for part in each if _word(part)), "") for each in parts]
    # What else a name holds: files of one family differ in the split's word and in numbers alone.
    family = [
        (name.parent, tuple(part for part in each if not _word(part) and not part.isdigit()))
        for name, each in zip(names, parts, strict=True)
    ]
    kinds: dict[tuple, set[str]] = {}
    for key, split in zip(family, own, strict=True):
        kinds.setdefault(key, set()).add(split)
    told = [
        split if name.stem.lower() in _WORDS or len(kinds[key] - {""}) > 1 or split == TRAIN else ""
        for name, key, split in zip(names, family, own, strict=True)
    ]
    if {VALIDATION, TEST}.isdisjoint(told) or len(set(told)) == 1:
        return None  # all are alike: a set that happens to be called so
    return [split or TRAIN for split in told]


def names_a_split(name: str) -> bool:
    """Whether a folder's whole name is the word of a split."""
    return bool(_word(name))


def _word(name: str) -> str:
    """The split that a name means, or nothing; a year may follow, as in val2017."""
    return _WORDS.get(name.lower().rstrip("0123456789"), "")
