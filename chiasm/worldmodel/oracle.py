"""The oracle: the engine of the embedded world itself shows what actions lead to.

It has the interface of :class:`~chiasm.worldmodel.rollout.Rollouts`, so that it can stand in for a
model wherever one is asked what would be seen: the upper bound of any model of this world.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType

import numpy as np

from chiasm.actions import ActionFormat
from chiasm.documents import Image
from chiasm.inference.pictures import fitted
from chiasm.poses import Pose, compose
from chiasm.rgb import ImageShape
from chiasm.worldmodel.rollout import Context
from chiasm.worlds.engine import Engine
from chiasm.worlds.maps import UNITS_PER_METRE, Map, generate_map
from chiasm.worlds.pwad import MAPS_PER_ARCHIVE
from chiasm.worlds.worker import take
from chiasm.worlds.world import HELD_OUT_FIRST_SEED, Split, WorldSettings, map_seed

_MARGIN_UNITS, _CLEARANCE_UNITS = 36.0, 68.0


@dataclass(frozen=True, eq=False, kw_only=True)
class PlacedContext(Context):
    """A context of which is known where its last view was taken."""

    map_seed: int
    pose: Pose


class Oracle:
    """Shows true views; to be used in a ``with`` statement, since it keeps an engine running.

    Args:
        world: settings of the world that contexts come from.
        split: their maps.
        actions: how actions are read.
        shape: of the views.
        stops_at_walls: a step that leads into a wall or an object ends before it. Otherwise all is
            black from there on, so that a planner, whose walk nothing stops, keeps away.
    """

    def __init__(
        self,
        world: WorldSettings,
        split: Split,
        actions: ActionFormat,
        shape: ImageShape,
        *,
        stops_at_walls: bool = True,
    ) -> None:
        self._world, self._split, self._actions, self._shape = world, split, actions, shape
        self._stops_at_walls = stops_at_walls
        self._running = ExitStack()
        self._engine: Engine | None = None
        self._archive = -1
        self._maps: list[Map] = []

    def __enter__(self) -> Oracle:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._running.close()

    def imagine(
        self, contexts: Sequence[Context], actions: Sequence[Sequence[str]], *, seed: int = 0
    ) -> list[np.ndarray]:
        """What is truly seen after each action, as a function of contexts and actions alone.

        Each pose is photographed once in a call. What moves in the engine (water, flames) is as
        it happens to be.

        Args:
            contexts: each a :class:`PlacedContext`.
            actions: of each rollout, poses or keys.
            seed: is not read; there is no luck.

        Returns:
            for each rollout its views, uint8 [S, H, W, 3].

        Raises:
            UserError: an action names no pose.
            ValueError: a context does not say where it is.
        """
        walks = [self.walk(*each) for each in zip(contexts, actions, strict=True)]
        return self._shown(contexts, walks)

    def ends(
        self, contexts: Sequence[Context], actions: Sequence[Sequence[str]], *, seed: int = 0
    ) -> np.ndarray:
        """What is truly seen after the last action of each: uint8 [N, H, W, 3].

        Raises:
            UserError, ValueError: as :meth:`imagine`.
        """
        ends = [self.walk(*each)[-1:] for each in zip(contexts, actions, strict=True)]
        return np.concatenate(self._shown(contexts, ends))

    def _shown(
        self, contexts: Sequence[Context], walks: Sequence[Sequence[Pose | None]]
    ) -> list[np.ndarray]:
        """The views of each walk, uint8 [S, H, W, 3]; black where there is no pose."""
        seeds = [context.map_seed for context in contexts if isinstance(context, PlacedContext)]
        black = np.zeros((self._shape.height_pixels, self._shape.width_pixels, 3), np.uint8)
        views: dict[tuple[int, Pose | None], np.ndarray] = {(n, None): black for n in seeds}
        for number in sorted(set(seeds)):
            own = (p for s, walk in zip(seeds, walks, strict=True) if s == number for p in walk)
            poses = [pose for pose in dict.fromkeys(own) if pose is not None]
            shown = self.look(number, poses)
            views |= {(number, pose): view for pose, view in zip(poses, shown, strict=True)}
        return [
            np.stack([views[number, pose] for pose in walk])
            for number, walk in zip(seeds, walks, strict=True)
        ]

    def look(self, map_seed: int, poses: Sequence[Pose]) -> list[np.ndarray]:
        """What is seen at some poses of a map, on whole units: uint8 [H, W, 3] each."""
        engine, world_map = self._open(map_seed)
        views = []
        for pose in poses:
            taken, _ = take(engine, world_map, _nudged(pose), self._world.image_pixels)
            views.append(fitted(Image(taken, target=False), self._shape))
        return views

    def walk(self, context: Context, actions: Sequence[str]) -> list[Pose | None]:
        """The pose after each action, on the whole units that the engine stands on.

        A step is free where all its quarters keep the distance from walls and objects that
        numeric walks keep (less 8 cm, since actions are written with few decimals). One that is
        not ends at its last free quarter, with its turn taken, or (``stops_at_walls`` is false)
        nowhere: None, and so are all poses after it.

        Raises:
            UserError: an action names no pose.
            ValueError: the context does not say where it is.
        """
        if not isinstance(context, PlacedContext):
            raise ValueError("the oracle needs a PlacedContext: it has to know where it stands")
        world_map = generate_map(self._world.seed, context.map_seed)
        poses: list[Pose | None] = []
        pose = context.pose
        for text in actions:
            goal = compose(pose, self._actions.read(text).step)
            pose = _stopped(world_map, pose, goal)
            if pose != goal and not self._stops_at_walls:
                return poses + [None] * (len(actions) - len(poses))
            poses.append(_on_whole_units(pose))
        return poses

    def _open(self, seed: int) -> tuple[Engine, Map]:
        """An engine that has just entered the map, so that what moves begins anew."""
        archive, place = divmod(seed % HELD_OUT_FIRST_SEED, MAPS_PER_ARCHIVE)
        if archive != self._archive or self._engine is None:
            self._running.close()
            first = archive * MAPS_PER_ARCHIVE
            end = min(first + MAPS_PER_ARCHIVE, self._world.num_maps(self._split))
            self._maps = [
                generate_map(self._world.seed, map_seed(self._split, number))
                for number in range(first, end)
            ]
            self._engine = self._running.enter_context(Engine(self._maps))
            self._archive = archive
        self._engine.open_map(place)
        return self._engine, self._maps[place]


def _stopped(world_map: Map, pose: Pose, goal: Pose) -> Pose:
    """The goal, or how far towards it one comes, looking its way."""
    east, north = goal.x_metres - pose.x_metres, goal.y_metres - pose.y_metres
    free = Pose(pose.x_metres, pose.y_metres, goal.yaw_degrees)
    for part in (0.25, 0.5, 0.75):
        next_x, next_y = pose.x_metres + part * east, pose.y_metres + part * north
        if not _is_free(world_map, next_x, next_y):
            return free
        free = Pose(next_x, next_y, goal.yaw_degrees)
    return goal if _is_free(world_map, goal.x_metres, goal.y_metres) else free


def _is_free(world_map: Map, x_metres: float, y_metres: float) -> bool:
    x, y = round(x_metres * UNITS_PER_METRE), round(y_metres * UNITS_PER_METRE)
    return world_map.is_free(x, y, _MARGIN_UNITS, _CLEARANCE_UNITS)


def _on_whole_units(pose: Pose) -> Pose:
    return Pose(
        round(pose.x_metres * UNITS_PER_METRE) / UNITS_PER_METRE,
        round(pose.y_metres * UNITS_PER_METRE) / UNITS_PER_METRE,
        round(pose.yaw_degrees, 3),
    )


def _nudged(pose: Pose) -> Pose:
    """The engine truncates to whole units, and 0.58 m would come out below 29 of them."""
    quarter = 0.25 / UNITS_PER_METRE
    return Pose(pose.x_metres + quarter, pose.y_metres + quarter, pose.yaw_degrees)
