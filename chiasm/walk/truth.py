"""The true path of a walk on its map, and the views that the engine renders there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np

from chiasm.actions import STANDING, Action
from chiasm.poses import compose
from chiasm.walk.commands import Command
from chiasm.walk.starts import Place
from chiasm.worldmodel.oracle import Oracle, PlacedContext

_BLOCKED_METRES = 0.1
"""Distance from the goal of a step beyond which it was stopped; rounding moves it less."""


@dataclass(frozen=True, eq=False)
class TrueWalk:
    """True views after each step of a walk, and which steps were stopped."""

    views: list[np.ndarray]
    """uint8 [H, W, 3] each."""
    blocked: tuple[bool, ...]


class Truth:
    """The oracle behind a lock: one thread at a time uses its engine.

    Args:
        oracle: oracle of the held-out maps; its engine starts with the first view.
    """

    def __init__(self, oracle: Oracle) -> None:
        self._oracle = oracle
        self._lock = Lock()

    def after(self, place: Place, action: Action, text: str) -> tuple[Place, bool]:
        """Returns where a step ends, and whether a wall or an object stopped it."""
        with self._lock:
            [pose] = self._oracle.walk(_context(place), [text])
        assert pose is not None  # the oracle stops at walls
        goal = compose(place.pose, action.step)
        missed = math.hypot(goal.x_metres - pose.x_metres, goal.y_metres - pose.y_metres)
        return Place(place.place, pose), missed > _BLOCKED_METRES

    def walk(self, place: Place, commands: Sequence[Command]) -> TrueWalk:
        """Returns the true views after consecutive steps; every command must name a pose."""
        way = [(place, False)]
        for command in commands:
            assert command.action is not None
            way.append(self.after(way[-1][0], command.action, command.text))
        places, blocked = zip(*way[1:], strict=True)
        return TrueWalk(self.views(places), blocked)

    def views(self, places: Sequence[Place]) -> list[np.ndarray]:
        """Returns the true view at each place: uint8 [H, W, 3]."""
        with self._lock:
            contexts = [_context(place) for place in places]
            shown = self._oracle.imagine(contexts, [[STANDING]] * len(places))
        return [view for [view] in shown]


def _context(place: Place) -> PlacedContext:
    """Returns the oracle's context of a place, with an empty view, which it does not read."""
    nothing = np.zeros((1, 1, 3), np.uint8)
    return PlacedContext((nothing,), place=place.place, pose=place.pose)
