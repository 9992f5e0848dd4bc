"""Planning scenes: the history up to a start, a goal image, and the true path to it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from chiasm.capabilities import PosedVideos, Rendered
from chiasm.data.reading import UNDECODED, UNREADABLE
from chiasm.evaluation.material import NothingToMeasure, spread
from chiasm.evaluation.run import Run
from chiasm.evaluation.shared import WalkSettings
from chiasm.poses import Pose
from chiasm.worldmodel.oracle import PlacedContext
from chiasm.worldmodel.rollout import Context


@dataclass(frozen=True, eq=False)
class Scene:
    """A start, a goal some steps later on the same held-out walk, and the true path between."""

    frame: int
    """Frame number of the start."""
    context: Context
    """Context of the model; with an oracle a :class:`~chiasm.worldmodel.oracle.PlacedContext`."""
    goal_HW3: np.ndarray
    """Goal image, uint8."""
    start: Pose
    truth: tuple[Pose, ...]
    """True poses after each step; the last is the goal's."""
    place: int
    """Map or trajectory: the cluster of standard errors."""
    goal_in_sight: bool | None
    """Whether the goal's position is visible from the start; None where no map is known."""


def pick_scenes(run: Run[WalkSettings], source: PosedVideos, count: int, steps: int) -> list[Scene]:
    """Returns at most ``count`` scenes, spread evenly over the walks.

    Args:
        run: its ``history_frames`` end at the start, which they include; its log counts the scenes
            that are left out because an image cannot be decoded.
        source: held out.
        count: most scenes.
        steps: from the start to the goal.

    Raises:
        NothingToMeasure: every walk is too short, or no image can be decoded.
    """
    history_frames = run.settings.history_frames
    moments = [
        walk[first : first + history_frames + steps]
        for walk in source.walks
        for first in range(len(walk) - history_frames - steps + 1)
    ]
    if not moments:
        longest = max(len(walk) for walk in source.walks)
        raise NothingToMeasure(
            f"evaluation.history_frames = {history_frames} and evaluation.planner.steps = {steps} "
            f"need walks of {history_frames + steps} frames; the longest held-out walk of source "
            f"{source.name!r} has {longest}. Lower one, or give longer walks"
        )
    scenes = []
    for number in spread(len(moments), count):
        try:
            scenes.append(_scene(run, source, moments[number]))
        except UNREADABLE as error:
            where = f"frames from {moments[number][0]}"
            run.log.pass_over(source, where, UNDECODED, str(error))
    if not scenes:
        raise NothingToMeasure(f"no held-out picture of source {source.name!r} can be decoded")
    return scenes


def _scene(run: Run[WalkSettings], source: PosedVideos, moment: range) -> Scene:
    history_frames = run.settings.history_frames
    seen, start, goal = moment[:history_frames], moment[history_frames - 1], moment[-1]
    views = tuple(run.fitted(source.picture(frame)) for frame in seen)
    done = tuple(source.action(a, b) for a, b in pairwise(seen))
    context, sight = Context(views, done), None
    pose, truth = source.pose(start), [source.pose(frame) for frame in moment[history_frames:]]
    if isinstance(source, Rendered):
        place = source.place_of(start)
        context = PlacedContext(views, done, place=place, pose=pose)
        sight = source.in_sight(place, pose, truth[-1])
    return Scene(
        start,
        context,
        run.fitted(source.picture(goal)),
        pose,
        tuple(truth),
        source.place_of(start),
        sight,
    )
