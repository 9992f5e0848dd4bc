"""The recorded walks of a source, split into a training and a held-out side.

The split is, in this order, that of the recipe (two paths), that of the folder (the field's
``train`` and ``test``), or a share of the walks chosen by a hash of their poses. Of a single
recording the last stretch is held out.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chiasm.data.cameras import PoseSettings
from chiasm.data.frames import visible
from chiasm.data.layouts import FILES, NAMES, layout_of, text_lines
from chiasm.data.source import FileSettings
from chiasm.data.survey import draw, hashed
from chiasm.data.trajectories import Trajectory, read_trajectory
from chiasm.documents import Split
from chiasm.errors import UserError

_HELD_OUT_NAMES = ("test", "val", "valid", "validation", "held_out")
"""Names of held-out folders beside ``train``; the first that exists counts."""


@dataclass(frozen=True)
class Side:
    """The walks of one side of a source, and notes about them."""

    trajectories: tuple[Trajectory, ...]
    notes: tuple[str, ...] = ()
    """How the sides were chosen, what was left out and why, and what is unusual."""

    @property
    def summary(self) -> str:
        """Numbers of trajectories and frames, and their layouts and axes."""
        layouts = Counter(trajectory.layout for trajectory in self.trajectories)
        kinds = "; ".join(
            f"{count} of {layout}" if len(layouts) > 1 else layout
            for layout, count in layouts.most_common()
        )
        frames = sum(map(len, self.trajectories))
        many = "trajectory" if len(self.trajectories) == 1 else "trajectories"
        return f"{len(self.trajectories)} {many}, {frames:,} frames ({kinds})"


def read_side(source: FileSettings, settings: PoseSettings, gap_frames: int, split: Split) -> Side:
    """Returns the walks of one side.

    ``gap_frames`` is how far the longest document reaches: the gap between the sides of a single
    recording (:func:`_stretch`).

    Raises:
        UserError: as :func:`find_trajectories` and
            :func:`~chiasm.data.trajectories.read_trajectory`, or a side without any.
    """
    given = _given_sides(source)
    if given is None:
        found = [read_trajectory(folder, settings) for folder in find_trajectories(source.path)]
        side, notes = _by_hash(found, source.held_out_fraction, gap_frames, split)
    else:
        train, held_out, note = given
        own = [read_trajectory(folder, settings) for folder in held_out]
        side, notes = own, [note]
        if split == "train":
            side, doubled = _apart([read_trajectory(f, settings) for f in train], own)
            notes += doubled
    told = Counter(note for trajectory in side for note in trajectory.notes)
    notes += [
        f"{next(t.folder.name for t in side if note in t.notes)}: {note}"
        + (f" ({count} trajectories alike)" if count > 1 else "")
        for note, count in told.items()
    ]
    return Side(tuple(side), tuple(notes))


def find_trajectories(path: str, setting: str = "path") -> list[Path]:
    """Returns the folders listed in ``traj_names.txt``, or else all that hold poses, by name.

    A folder that holds poses itself is the only trajectory.

    Raises:
        UserError: no such folder, none with poses, or a listed one that is missing.
    """
    root = Path(path)
    if not root.is_dir():
        raise UserError("is not there: no such folder", setting=setting, value=path)
    if (root / NAMES).is_file():
        folders = _listed(root / NAMES, [root])
    elif layout_of(root):
        folders = [root]
    else:
        folders = [folder for folder in _folders(root) if layout_of(folder)]
    if folders:
        return folders
    deeper = [folder for folder in _folders(root) if any(map(layout_of, _folders(folder)))]
    hint = f"; {deeper[0].name!r} in it does: give {str(deeper[0])!r}" if deeper else ""
    remedy = f"give a folder of folders, each with frames 0.jpg, 1.jpg, ... and one of {FILES}"
    raise UserError(f"holds no trajectories{hint}", setting=setting, value=path, remedy=remedy)


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and visible(path))


def _listed(names: Path, roots: list[Path]) -> list[Path]:
    """Returns the folders that a list names, each looked for in ``roots`` in turn."""
    folders = []
    for line in text_lines(names):
        if not line.strip():
            continue
        places = [root / line.strip() for root in roots]
        folder = next((place for place in places if place.is_dir()), None)
        if folder is None:
            raise UserError(
                f"{names} lists {line.strip()!r}, but there is no such folder; "
                "add it, or take its line out"
            )
        folders.append(folder)
    return folders


def _given_sides(source: FileSettings) -> tuple[list[Path], list[Path], str] | None:
    """Returns training folders, held-out folders and a note, if recipe or folder define them."""
    if source.held_out_path:
        return (
            find_trajectories(source.path),
            find_trajectories(source.held_out_path, "held_out_path"),
            f"held out is all of {source.held_out_path}",
        )
    root = Path(source.path)
    if (root / NAMES).is_file() or not root.is_dir():
        return None
    for place in (root, root / "data_splits", root / "data_splits" / root.resolve().name):
        train = _of_split(place / "train", root)
        for name in _HELD_OUT_NAMES:
            held_out = _of_split(place / name, root) if train else []
            if train and held_out:
                listed = any((place / side / NAMES).is_file() for side in ("train", name))
                beside = [] if listed else [f for f in _folders(root) if layout_of(f)]
                if place == root and beside:
                    why = f"trajectories such as {beside[0].name!r}"
                    raise source.error(
                        "path",
                        f"has train and {name}, and beside them {why}",
                        "put those into one of the two",
                    )
                others = [each for each in _HELD_OUT_NAMES if each != name]
                unread = [each for each in others if (place / each).is_dir()]
                note = f"held out is {place.name}/{name}, as the folder has it"
                note += f"; not read: {', '.join(unread)}" if unread else ""
                return train, held_out, note
    return None


def _of_split(place: Path, root: Path) -> list[Path]:
    """Returns the trajectories of one side of a split: those listed, or those in its folder."""
    if (place / NAMES).is_file():
        return _listed(place / NAMES, [place, root])
    if not place.is_dir() or layout_of(place):
        return []
    return [folder for folder in _folders(place) if layout_of(folder)]


def _apart(
    train: list[Trajectory], held_out: list[Trajectory]
) -> tuple[list[Trajectory], list[str]]:
    """Returns training walks that are not held out too, and a note if any were."""
    known = {trajectory.identity: trajectory for trajectory in held_out}
    doubled = [trajectory for trajectory in train if trajectory.identity in known]
    if len(doubled) == len(train):
        pair = f"{train[0].folder} and {known[train[0].identity].folder}"
        why = f": every trajectory to train on is held out too, such as {pair}"
        raise UserError(why, setting="path", remedy="give the two sides different recordings")
    if not doubled:
        return train, []
    left = [trajectory for trajectory in train if trajectory.identity not in known]
    first = doubled[0]
    return left, [
        f"{len(doubled)} of {len(train)} trajectories are held out too and are left out of "
        f"training: {first.folder} is {known[first.identity].folder}"
    ]


def _by_hash(
    found: list[Trajectory], share: float, gap_frames: int, split: Split
) -> tuple[list[Trajectory], list[str]]:
    """Returns one side, and notes: a share of trajectories is held out, at least one.

    Those with the smallest hashes are held out; copies of one recording have equal hashes and are
    on one side.
    """
    draws = draw(np.array([hashed(trajectory.identity) for trajectory in found]))
    distinct = np.unique(draws)
    if len(distinct) == 1:
        return _stretch(found[0], len(found), share, gap_frames, split)
    bound = np.sort(draws)[max(1, round(share * len(draws))) - 1]
    held_out = draws <= min(bound, distinct[-2])  # at least one is left to train on
    chosen = np.flatnonzero(held_out if split == "held_out" else ~held_out)
    return [found[number] for number in chosen], []


def _stretch(
    whole: Trajectory, copies: int, share: float, gap_frames: int, split: Split
) -> tuple[list[Trajectory], list[str]]:
    """Returns one side of a single recording, of which the last stretch is held out after a gap.

    The gap is as long as the longest document, but no more than a quarter of the other frames.
    """
    num_held_out = min(max(2, round(share * len(whole))), len(whole) - 2)
    begin = len(whole) - num_held_out
    gap = min(gap_frames, begin // 4)
    end = begin - gap
    if num_held_out < 2:
        whole.refuse_mixed_sizes()  # what is broken comes first: it may be the only one
        raise UserError(
            f": {whole.folder} is the only recording and has {len(whole)} frames, too few to train "
            "on some and hold out others",
            setting="path",
            remedy="give more trajectories",
        )
    note = (
        f"a single recording{f' in {copies} copies' if copies > 1 else ''}: frames 0 to {end - 1} "
        f"are trained on and {begin} to {len(whole) - 1} held out; the {gap} between are "
        "left out"
    )
    part = whole.part(begin, len(whole)) if split == "held_out" else whole.part(0, end)
    return [part], [note]
