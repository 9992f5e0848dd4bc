"""Stories: someone walks through a map; what is said again later agrees with what was said before.

Rooms are described when first entered and recalled when seen again; directions compose on the map's
grid; a closing sentence asks for something said early. A model that only knows the last few words
cannot predict which room lies behind a doorway already passed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chiasm.worlds.maps import Map, Thing

_NAMES = ("anna", "ben", "clara", "david", "emma", "felix", "grace", "henry")
_STARTS = ("{who} starts in the {room}.", "{who} wakes up in the {room}.")
_MOVES = ("{who} goes {way} into the {room}.", "{who} walks {way} to the {room}.")
_RETURNS = ("{who} goes back {way} to the {room}.", "{who} returns {way} to the {room}.")
_FIRST_SIGHT = "it is {light}, with {floor} on the floor and {ceiling} above."
_KNOWN = (
    "it is still {light}, with {floor} on the floor.",
    "here is the {light} place with {ceiling} above and {floor} on the floor.",
)


def story(world_map: Map, rng: np.random.Generator) -> str:
    """Returns a walk of two or three moves through ``world_map`` in 7 to 15 short sentences."""
    return _Story(world_map, rng).tell()


class _Story:
    """State of a story: the walker's position, and what has been said."""

    def __init__(self, world_map: Map, rng: np.random.Generator) -> None:
        self.map, self.rng = world_map, rng
        self.who = self._choose(_NAMES)
        self.room = int(rng.integers(len(world_map.rooms)))
        self.start = self.room
        self.path = [self.room]
        self.sightings: dict[int, Thing] = {}  # room -> the object told of
        self.sentences: list[str] = []

    def tell(self) -> str:
        self._say(self._choose(_STARTS))
        self._describe()
        for _ in range(int(self.rng.integers(2, 4))):
            self._move()
        self._recall()
        return "story: " + " ".join(self.sentences)

    def _say(self, template: str, **fields: str) -> None:
        room = self.map.rooms[self.room]
        known = {"light": room.light, "floor": room.floor, "ceiling": room.ceiling}
        self.sentences.append(template.format(who=self.who, room=room.name, **known, **fields))

    def _describe(self) -> None:
        """Adds a description of the room, and of one object in it."""
        self._say(_FIRST_SIGHT)
        things = [thing for thing in self.map.things if thing.room == self.room]
        if things:
            thing = things[int(self.rng.integers(len(things)))]
            self.sightings[self.room] = thing
            self._say("there is a {thing} here.", thing=thing.kind.name)

    def _move(self) -> None:
        """Moves to a neighbour; back through the last doorway a little more often than chance."""
        exits = self.map.exits[self.room]
        ways = sorted(exits)
        way = self._choose(ways)
        if len(self.path) > 1 and self.rng.random() < 0.3:
            way = next(way for way in ways if exits[way] == self.path[-2])
        self.room = exits[way]
        known = self.room in self.path
        self.path.append(self.room)
        self._say(self._choose(_RETURNS if known else _MOVES), way=way)
        if not known:
            self._describe()
            return
        self._say(self._choose(_KNOWN))
        if self.room in self.sightings:
            name = self.sightings[self.room].kind.name
            self._say("{who} sees the {thing} again.", thing=name)

    def _recall(self) -> None:
        """Adds one fact from the beginning, or where something was seen."""
        if self.sightings and self.rng.random() < 0.5:
            room = self._choose_number(sorted(self.sightings))
            name, place = self.sightings[room].kind.name, self.map.rooms[room].name
            self._say("{who} remembers the {thing} in the {place}.", thing=name, place=place)
        else:
            start = self.map.rooms[self.start]
            self._say(
                "{who} remembers the start, the {place} with {first} on the floor.",
                place=start.name,
                first=start.floor,
            )

    def _choose(self, options: Sequence[str]) -> str:
        return options[int(self.rng.integers(len(options)))]

    def _choose_number(self, options: Sequence[int]) -> int:
        return options[int(self.rng.integers(len(options)))]
