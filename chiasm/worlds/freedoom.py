"""Walks through the maps that come with the engine: another domain than the embedded world.

Freedoom's maps (BSD licence) have stairs, machines, water and open sky, and no list of what is in
them. So walks cannot be planned: the player is driven by the engine's own physics, which stop it at
walls, and each frame is recorded with the pose that was really reached. Steps are those of the
embedded world as far as walls allow. Monsters are left out; doors stay shut.

A folder of walks has the layout of GNM and Navigation World Models: frames 0.png, 1.png, ... beside
``traj_data.json`` with ``position`` [T, 2] in metres and ``yaw`` [T] in radians.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import vizdoom
from PIL import Image as PillowImage

from chiasm.errors import UserError
from chiasm.poses import Pose
from chiasm.whole import whole
from chiasm.worlds.engine import Game, scaled
from chiasm.worlds.maps import UNITS_PER_METRE

NUM_MAPS = 32
_PUSH, _PUSH_TICS, _REST_TICS = 21.4, 8, 20
"""Engine units of a push that moves a metre in the open, and tics until the player has stopped."""
_BLOCKED_METRES = 0.5
_TURNS_DEGREES = (20.0, 40.0)


class FreedoomWalker(Game):
    """A player that walks in the engine's own maps."""

    def __init__(self) -> None:
        super().__init__(
            [vizdoom.Button.TURN_LEFT_RIGHT_DELTA, vizdoom.Button.MOVE_FORWARD_BACKWARD_DELTA]
        )

    def turn(self, degrees: float) -> None:
        """Turns on the spot, to the left."""
        self._act(-degrees, 0.0, 1)

    def push(self, sign: float) -> None:
        """Moves a metre ahead (1) or back (-1), or as far as nothing is in the way."""
        self._act(0.0, sign * _PUSH, _PUSH_TICS)

    @property
    def pose(self) -> Pose:
        """Pose of the player."""
        x, y, yaw = self.place
        return Pose(x / UNITS_PER_METRE, y / UNITS_PER_METRE, yaw)

    def _act(self, turn: float, push: float, tics: int) -> None:
        self._game.set_action([turn, push])
        self._game.advance_action(tics, False)
        self._game.set_action([0.0, 0.0])
        self._game.advance_action(_REST_TICS)


def _walk(
    walker: FreedoomWalker, num_frames: int, rng: np.random.Generator
) -> Iterator[tuple[Pose, np.ndarray]]:
    """Yields steps as in the embedded world; where the way is blocked, turns until it is free."""
    sense, blocked = 1.0, False
    for _ in range(num_frames):
        before = walker.pose
        yield before, walker.square
        sense = -sense if rng.random() < 0.25 and not blocked else sense
        turns, moves = _choice(blocked, rng)
        if moves:
            walker.push(-1.0 if rng.random() < 0.1 else 1.0)
        if turns:
            walker.turn(sense * float(rng.choice(_TURNS_DEGREES)))
        after = walker.pose
        far = math.dist((before.x_metres, before.y_metres), (after.x_metres, after.y_metres))
        blocked = moves and far < _BLOCKED_METRES


def _choice(blocked: bool, rng: np.random.Generator) -> tuple[bool, bool]:
    """Returns whether to turn, and whether to move."""
    if blocked or rng.random() < 0.3:
        return True, False
    return bool(rng.random() < 0.5), True


def record_freedoom(
    folder: Path,
    num_maps: int,
    walks_per_map: int,
    num_frames: int,
    image_pixels: int,
    *,
    seed: int,
) -> None:
    """Records walks through the first maps into a folder; an existing one is kept.

    The walks of a map follow each other, so that they lead away from where the player starts.

    Args:
        num_maps: at most ``NUM_MAPS``.
        num_frames: of each walk.
        image_pixels: side of the square frames.

    Raises:
        UserError: there are not so many maps.
    """
    if num_maps > NUM_MAPS:
        raise UserError(f"maps = {num_maps}: the engine comes with {NUM_MAPS}; give fewer")
    if folder.exists():
        return
    with whole(folder, shared=True) as aside, FreedoomWalker() as walker:
        for number in range(num_maps):
            walker.open_map(number)
            rng = np.random.default_rng([seed, number])
            frames = _walk(walker, walks_per_map * num_frames, rng)
            for walk in range(walks_per_map):
                own = list(islice(frames, num_frames))
                _write(aside / f"map{number + 1:02d}_{walk:02d}", own, image_pixels)


def _write(folder: Path, frames: list[tuple[Pose, np.ndarray]], image_pixels: int) -> None:
    folder.mkdir(parents=True)
    for number, (_, square) in enumerate(frames):
        PillowImage.fromarray(scaled(square, image_pixels)).save(folder / f"{number}.png")
    poses = [pose for pose, _ in frames]
    described = {
        "position": [[pose.x_metres, pose.y_metres] for pose in poses],
        "yaw": [math.radians(pose.yaw_degrees) for pose in poses],
    }
    (folder / "traj_data.json").write_text(json.dumps(described))
