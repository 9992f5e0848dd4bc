"""Recorded walks: folders of frames with the poses of the camera.

:mod:`chiasm.data.layouts` reads the files, :mod:`chiasm.data.cameras` projects poses in space onto
the ground, and :mod:`chiasm.data.plausibility` checks them.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from chiasm.data.cameras import CONVENTIONS, CameraPoses, PoseSettings
from chiasm.data.frames import numbered_frames
from chiasm.data.layouts import FILES, LEAVE_OUT, REMEDY, Recorded, layout_of
from chiasm.data.panning import pictures_deny
from chiasm.data.plausibility import (
    looks_like_degrees,
    looks_like_radians,
    looks_mirrored,
    objection,
    settings_without_objection,
    travel,
)
from chiasm.errors import UserError
from chiasm.poses import Pose
from chiasm.rgb import oriented_size


@dataclass(frozen=True)
class Trajectory:
    """T frames in order of time, and the pose of each."""

    folder: Path
    poses_T3: np.ndarray
    """float64 [T, 3]: x and y in metres, yaw in degrees."""
    names: tuple[str, ...]
    """Files of the frames relative to the folder; empty if they are found by number."""
    identity: bytes
    """Hash of the recorded poses: equal for copies of one recording."""
    layout: str = ""
    """Layout of the poses, and the axes by which they were read."""
    notes: tuple[str, ...] = ()
    """What was left out, and what is unusual."""
    stretch: str = ""
    """Frames of the whole that a part of a recording has, in words."""

    def __len__(self) -> int:
        return len(self.poses_T3)

    def pose(self, number: int) -> Pose:
        """Returns the pose of a frame, in metres and degrees."""
        x, y, yaw = self.poses_T3[number].tolist()
        return Pose(x, y, yaw)

    def part(self, begin: int, end: int) -> Trajectory:
        """Returns the frames from ``begin`` to before ``end``, with the identity of the whole."""
        names = tuple(os.path.relpath(file, self.folder) for file in self.files[begin:end])
        stretch = f"frames {begin} to {end - 1}"
        return replace(self, poses_T3=self.poses_T3[begin:end], names=names, stretch=stretch)

    @cached_property
    def files(self) -> list[Path]:
        """File of every frame.

        Raises:
            UserError: one is missing, or there are more frames than poses.
        """
        names = dict(enumerate(self.names))
        first = 0
        if not names:
            names = numbered_frames(self.folder)
            first = 0 if 0 in names else min(names, default=0)
        for number in range(len(self)):
            name = names.get(first + number)
            if name is None or not os.path.isfile(self.folder / name):
                raise UserError(
                    f"trajectory {self.folder}: frame {number} of {len(self)}, "
                    f"{name or f'{first + number}.jpg'!s:.100}, is missing; add it, or {LEAVE_OUT} "
                    f"({len(names)} frames and {len(self)} poses were found)"
                )
        if len(names) > len(self):
            raise UserError(
                f"trajectory {self.folder} has {len(names)} frames and {len(self)} poses; which "
                f"belong together is not known: take away the frames without one, or {LEAVE_OUT}"
            )
        return [self.folder / names[first + number] for number in range(len(self))]

    def refuse_mixed_sizes(self) -> None:
        """Raises a UserError unless all frames have one size; only headers are read.

        A file that is no picture is ignored here; the stream skips its documents and counts them.
        """
        sizes: dict[tuple[int, int], Path] = {}
        for file in self.files:
            try:
                sizes.setdefault(oriented_size(file), file)
            except UserError:
                continue
            if len(sizes) > 1:
                (first, a), (other, b) = sizes.items()
                raise UserError(
                    f"trajectory {self.folder}: {a.name} has {first[0]} x {first[1]} pixels and "
                    f"{b.name} has {other[0]} x {other[1]}; give all frames one size"
                )


def read_trajectory(folder: Path, settings: PoseSettings) -> Trajectory:
    """Returns the trajectory of one folder; numbered frames are looked for when they are needed.

    Raises:
        UserError: no poses, poses that cannot be read, are not finite or jump, or poses that are
            implausible by their conventions; the message names the settings under which they pass.
    """
    layout = layout_of(folder)
    if layout is None:
        raise UserError(f"trajectory {folder} has none of {FILES}; {REMEDY}")
    file, read = layout
    recorded = read(file, settings)
    notes = [recorded.note] if recorded.note else []
    if isinstance(recorded.poses, CameraPoses):
        poses_T3 = _of_camera(folder, recorded, recorded.poses, settings)
        camera, world = recorded.poses.axes(settings)
        inverse = ", inverted" if settings.pose == "world_to_camera" else ""
        named = f", camera {_axes(camera)}, world {_axes(world)}{inverse}"
    else:
        poses_T3, named = recorded.poses, ""
    _refuse_absurd(recorded.file, poses_T3, settings)
    if not named:
        _refuse_wrong_yaw(recorded.file, poses_T3, settings)
    scaled_T3 = poses_T3 * _scale(settings)
    if note := _looks_aside(poses_T3):
        notes.append(note)
    # Adding 0.0 turns -0.0 into 0.0: equal poses must have equal bytes.
    identity = hashlib.sha256((poses_T3.round(6) + 0.0).tobytes()).digest()
    return Trajectory(
        folder, scaled_T3, recorded.names, identity, recorded.layout + named, tuple(notes)
    )


def _axes(convention: str) -> str:
    letters = CONVENTIONS.get(convention)
    return f"{convention} ({letters})" if letters else convention


def _of_camera(
    folder: Path, recorded: Recorded, poses: CameraPoses, settings: PoseSettings
) -> np.ndarray:
    """Returns float64 [T, 3]: x, y in the recorded unit, yaw in radians.

    Raises:
        UserError: the poses are not finite, no rotations, jump, or are implausible.
    """
    rows_TX = np.column_stack([poses.position_T3, poses.orientation.reshape(len(poses), -1)])
    _refuse_infinite(recorded.file, rows_TX)
    if wrong := poses.wrong_orientation():
        raise UserError(f"{recorded.file}: frame {wrong[0]}: {wrong[1]}; {REMEDY}")
    walk = poses.on_ground(settings)
    why = objection(walk, settings) if len(poses) else None
    fitting = _fitting(folder, recorded, poses, settings) if why else []
    inverted = bool(fitting) and list(fitting[0]) == ["pose"]
    if not inverted:  # positions of inverse poses jump with every turn of the camera
        _refuse_steps(recorded.file, walk.position_T3, settings)
    if why is None:
        return walk.poses_T3
    camera, world = poses.axes(settings)
    ways = [
        " and ".join(f'trajectories.{name} = "{to}"' for name, to in change.items())
        for change in fitting
    ]
    if inverted:
        kind = fitting[0]["pose"].replace("_", "-")
        ways[0] = f"they look like {kind} matrices, which {ways[0]} reads rightly"
    remedy = (
        f"{'; or '.join(ways)}{'' if inverted and len(ways) == 1 else ' would do'}; set what is "
        "true of the recording"
        if fitting
        else "no convention that has a name makes a walk of it, nor of its inverse: give both axes "
        "in letters such as RDF"
    )
    raise UserError(
        f"{recorded.file}: {why}, with the camera's axes as {_axes(camera)} and the world's as "
        f"{_axes(world)}; {remedy}, or {LEAVE_OUT}"
    )


def _fitting(
    folder: Path, recorded: Recorded, poses: CameraPoses, settings: PoseSettings
) -> list[dict[str, str]]:
    """Returns changes of the settings under which poses pass and agree with the pictures."""
    found = []
    for change in settings_without_objection(poses, settings):
        walk = poses.on_ground(settings.model_copy(update=change))
        seen = Trajectory(folder, walk.poses_T3 * _scale(settings), recorded.names, b"")
        try:
            denied = pictures_deny(seen)
        except UserError:  # frames are missing, which is an error once they are needed
            denied = False
        if not denied:
            found.append(change)
    return found


def _scale(settings: PoseSettings) -> np.ndarray:
    """Returns the factors from the recorded unit and radians to metres and degrees."""
    return np.array([settings.metres_per_unit, settings.metres_per_unit, 180 / np.pi])


def _refuse_absurd(file: Path, poses_T3: np.ndarray, settings: PoseSettings) -> None:
    _refuse_infinite(file, poses_T3)
    _refuse_steps(file, poses_T3[:, :2], settings)


def _refuse_infinite(file: Path, rows_TX: np.ndarray) -> None:
    wrong = np.flatnonzero(~np.isfinite(rows_TX).all(1))
    if len(wrong):
        pose = ", ".join(f"{value:g}" for value in rows_TX[wrong[0]])
        raise UserError(
            f"{file}: the pose of frame {wrong[0]}, ({pose}), is not finite ({len(wrong)} of "
            f"{len(rows_TX)} are not); {REMEDY}"
        )


def _refuse_steps(file: Path, position_TX: np.ndarray, settings: PoseSettings) -> None:
    with np.errstate(over="ignore"):  # an overflow gives inf, which is a jump like any other
        steps = np.linalg.norm(np.diff(position_TX, axis=0), axis=1) * settings.metres_per_unit
    far = np.flatnonzero(~(steps <= settings.largest_step_metres))
    if len(far):
        raise UserError(
            f"{file}: from frame {far[0]} to {far[0] + 1} it jumps {steps[far[0]]:g} m, and "
            f"trajectories.largest_step_metres is {settings.largest_step_metres:g}; correct "
            f"trajectories.metres_per_unit = {settings.metres_per_unit:g}, raise the bound, or "
            f"{REMEDY}"
        )


def _refuse_wrong_yaw(file: Path, poses_T3: np.ndarray, settings: PoseSettings) -> None:
    if settings.yaw_unit == "radians" and (why := looks_like_degrees(poses_T3)):
        raise UserError(
            f"{file}: yaw is read as radians, but {why}, so that it seems to be in degrees; set "
            f'trajectories.yaw_unit = "degrees", or {REMEDY}'
        )
    if settings.yaw_unit == "degrees" and (why := looks_like_radians(poses_T3)):
        raise UserError(
            f"{file}: yaw is read as degrees, but {why}; set "
            f'trajectories.yaw_unit = "radians", or {REMEDY}'
        )
    if looks_mirrored(poses_T3):
        raise UserError(
            f"{file}: the walk goes where it looks only if yaw turns clockwise, and it must turn "
            f"counter-clockwise seen from above, with x and y right-handed: reverse the sign of "
            f"yaw or of one axis in the file, or {LEAVE_OUT}"
        )


def _looks_aside(poses_T3: np.ndarray) -> str:
    """Returns a note if a walk always goes one way that is not ahead, else an empty text."""
    direction = travel(poses_T3)
    degrees = float(np.degrees(np.angle(direction)))
    if abs(direction) < 0.8 or abs(degrees) < 60:
        return ""
    return f"goes {abs(degrees):.0f} degrees away from where it looks, all the time"
