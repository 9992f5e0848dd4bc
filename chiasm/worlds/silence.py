"""Refusal of silence: without its library of sound the engine renders zeros, and says nothing."""

from __future__ import annotations

from chiasm.errors import UserError
from chiasm.worlds.engine import Engine
from chiasm.worlds.maps import KIND_OF_NAME, Area, Map, Room, Thing
from chiasm.worlds.sounds import VOICES

_ROOM = Room(Area(0, 0, 512, 512), 0, 0, "brick", "grass", "sky", "bright")
SOUNDING_ROOM = Map(0, (_ROOM,), (), (Thing(KIND_OF_NAME[VOICES[0].thing], 0, 256, 256),))
"""A room with one thing, in its middle, which sounds."""


def refuse_silence() -> None:
    """Starts an engine beside a thing that sounds, and listens.

    Raises:
        UserError: nothing is heard.
    """
    with Engine([SOUNDING_ROOM], sounds=True) as engine:
        engine.open_map(0)
        refuse_silent(engine)


def refuse_silent(engine: Engine) -> None:
    """Listens in an engine that has entered :data:`SOUNDING_ROOM`.

    Raises:
        UserError: nothing is heard.
    """
    engine.shoot(176, 256, 0.0)
    if not engine.listen().any():
        raise UserError(
            "world.sounds = true, but the engine renders silence where a thing sounds, as it does "
            "without the library OpenAL; install it (apt-get install libopenal1 on Debian and "
            "Ubuntu), or leave world.sounds out"
        )
