"""Walks of any source as a LeRobot data set.

A walk is an episode and a frame of it a row. The action of a row leads to the next one; the last
has none, and its row says that nothing is done, or what was recorded there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np

from chiasm.capabilities import ActionVideos, ControlledVideos, PosedVideos
from chiasm.data.lerobot_writer import LeRobotWriter, SetSettings
from chiasm.documents import Source
from chiasm.errors import UserError
from chiasm.poses import relative_pose
from chiasm.whole import whole

ACTION, STATE = "action", "observation.state"
STEP = ("dx_metres", "dy_metres", "dyaw_degrees")
POSE = ("x_metres", "y_metres", "yaw_degrees")
_FPS = 10
"""Rate of walks that were not recorded at any."""
_OFF = 0.02
"""Share by which a recorded rate may differ from the whole number that is written."""
_SPLITS = {"train": "train", "held_out": "test"}


def set_settings(sides: Mapping[str, Source], fps: int | None, crf: int) -> SetSettings:
    """Returns how the walks of both sides are written.

    Args:
        sides: training and held-out source.
        fps: frames a second; None: as recorded.
        crf: loss of the pictures, 0 to 51.

    Raises:
        UserError: the source has no walks, or its rate is no whole number, as the format has it.
    """
    source = next(iter(sides.values()))
    if not isinstance(source, ActionVideos):
        raise UserError(f"source {source.name!r} has no walks; name one of videos with actions")
    own = source.frames_per_second if isinstance(source, ControlledVideos) else None
    rate = fps or _FPS if own is None else fps or round(own)
    if not fps and own is not None and abs(rate - own) > _OFF * own:
        raise UserError(
            f"source {source.name!r} has {own:g} frames a second, and the format has whole "
            "numbers; choose one with --fps"
        )
    return SetSettings(rate, vectors_of(source), crf)


def vectors_of(source: ActionVideos) -> dict[str, tuple[str, ...]]:
    """Returns the names of the numbers that a source's rows have, by feature.

    Raises:
        UserError: it tells its steps in words alone.
    """
    if isinstance(source, ControlledVideos):
        names = tuple(source.last_controls(0))
        if not names:
            raise UserError(f"source {source.name!r} reads no controls; give it some")
        return {ACTION: names}
    if isinstance(source, PosedVideos):
        return {ACTION: STEP, STATE: POSE}
    raise UserError(
        f"source {source.name!r} knows neither poses nor controls of its walks, so that its "
        "actions have no numbers"
    )


def export_walks(
    sides: Mapping[str, Source],
    folder: Path,
    settings: SetSettings,
    on_walk: Callable[[int, int], None],
) -> tuple[int, int]:
    """Writes all walks of both sides and returns the numbers of episodes and of frames.

    Args:
        sides: training and held-out source, by ``train`` and ``held_out``.
        folder: a new one, which is there as a whole or not at all.
        settings: how it is written.
        on_walk: is told of the number of walks that are written, and of all.

    Raises:
        UserError: a picture cannot be decoded, or has another size than the first.
    """
    walks = [
        (split, source, walk)
        for split, source in sides.items()
        if isinstance(source, ActionVideos)
        for walk in source.walks
    ]
    frames = 0
    with whole(folder) as aside, LeRobotWriter(aside, settings) as writer:
        for number, (split, source, walk) in enumerate(walks):
            on_walk(number, len(walks))
            vectors = _vectors(source, walk)
            told = source.task_of(walk[0]) if isinstance(source, ControlledVideos) else ""
            task = told or f"walk of {source.name}"
            writer.write(_pictures(source, walk), vectors, task, _SPLITS[split])
            frames += len(walk)
    on_walk(len(walks), len(walks))
    return len(walks), frames


def _pictures(source: ActionVideos, walk: range) -> Iterator[np.ndarray]:
    return (source.picture(frame).pixels() for frame in walk)


def _vectors(source: ActionVideos, walk: range) -> dict[str, np.ndarray]:
    """Returns the numbers of each row: float64 [T, F] by feature."""
    if isinstance(source, ControlledVideos):
        given = [source.controls(before, after) for before, after in pairwise(walk)]
        own = np.array([list(each.values()) for each in given])
        last = np.array(list(source.last_controls(walk[-1]).values()))
        # What could not be used was given at the last frame, and leads nowhere.
        return {ACTION: np.vstack([own, np.where(np.isfinite(last), last, own[-1])])}
    assert isinstance(source, PosedVideos)
    poses = [source.pose(frame) for frame in walk]
    steps = [relative_pose(before, after) for before, after in pairwise(poses)]
    state = [(pose.x_metres, pose.y_metres, pose.yaw_degrees) for pose in poses]
    return {ACTION: np.array([*steps, (0.0, 0.0, 0.0)]), STATE: np.array(state)}
