"""Ground truth of what is heard at a pose: by geometry alone, walls do not muffle sounds.

Two ears tell left from right, not ahead from behind: what is as little to the side as an object in
the middle third of a picture is in the middle, ahead or behind.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from chiasm.poses import Pose, relative_pose
from chiasm.worlds.engine import FOCAL
from chiasm.worlds.maps import UNITS_PER_METRE, Map
from chiasm.worlds.sounds import REACH_UNITS, VOICE_OF_THING

NEAR_METRES = 3.0
FAINT_METRES = 5.0
"""Sounds from farther away are hardly heard: nothing is said about them."""
_MIDDLE_DEGREES = math.degrees(math.atan(1 / 6 / FOCAL))
"""Half of what the middle third of a picture shows."""


@dataclass(frozen=True, slots=True)
class HeardSound:
    """One sound that is heard, and the thing that makes it."""

    what: str
    thing: str
    side: str  # left, middle or right
    distance_metres: float
    near: bool


@dataclass(frozen=True, slots=True)
class Hearing:
    """What is heard at a pose: sounds from near to far; ``faint`` names those hardly heard."""

    sounds: tuple[HeardSound, ...]
    faint: tuple[str, ...]

    @property
    def silent(self) -> bool:
        """Whether nothing at all is heard."""
        return not self.sounds and not self.faint


def hearing_of(world_map: Map, pose: Pose) -> Hearing:
    """Returns what is heard at a pose of a map."""
    sounds, faint = [], set()
    for thing in world_map.things:
        voice = VOICE_OF_THING.get(thing.kind.name)
        place = Pose(thing.x / UNITS_PER_METRE, thing.y / UNITS_PER_METRE, 0.0)
        ahead, left, _ = relative_pose(pose, place)
        distance = math.hypot(ahead, left)
        if voice is None or distance >= REACH_UNITS / UNITS_PER_METRE:
            continue
        if distance >= FAINT_METRES:
            faint.add(voice.what)
            continue
        side, near = _side(ahead, left), distance < NEAR_METRES
        sounds.append(HeardSound(voice.what, voice.thing, side, round(distance, 2), near))
    sounds.sort(key=lambda sound: (sound.distance_metres, sound.what))
    return Hearing(tuple(sounds), tuple(sorted(faint)))


def _side(ahead: float, left: float) -> str:
    """Returns the side that a place lies on, the same ahead as behind."""
    if math.degrees(math.atan2(abs(left), abs(ahead))) < _MIDDLE_DEGREES:
        return "middle"
    return "left" if left > 0 else "right"
