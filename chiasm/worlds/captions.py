"""Captions: the true content of a view or of what is heard there, in several phrasings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chiasm.worlds.hearing import HeardSound, Hearing
from chiasm.worlds.sounds import VOICE_OF_THING
from chiasm.worlds.truth import SeenObject, View

_SURFACES = (
    "a {light} room with {wall} walls, {floor} on the floor and {ceiling} above",
    "{wall} walls, {floor} on the floor and {ceiling} above in a {light} room",
    "the {light} room has {wall} walls, {ceiling} above and {floor} on the floor",
)
_OBJECTS = ("{objects}", "there is {objects}")
_NO_OBJECTS = ("nothing stands here", "there are no objects")
_SOUND = ("a {what} {verb} {where}, {distance}", "{where}, {distance}, a {what} {verb}")
_NO_SOUND = ("nothing sounds here", "all is quiet")


def caption(view: View, rng: np.random.Generator) -> str:
    """Returns two sentences: wall, floor, ceiling and light, then the objects and their places."""
    surfaces = _choose(_SURFACES, rng).format(
        light=view.light, wall=view.wall, floor=view.floor, ceiling=view.ceiling
    )
    objects = _objects(view, rng)
    return f"{surfaces}. {objects}." if objects else f"{surfaces}."


def _objects(view: View, rng: np.random.Generator) -> str:
    """Returns the nearest two objects from left to right; empty if only faint ones show."""
    if not view.objects:
        return "" if view.faint else _choose(_NO_OBJECTS, rng)
    named = sorted(view.objects, key=lambda one: one.distance_metres)[:2]
    named.sort(key=lambda one: one.box[0])
    return _choose(_OBJECTS, rng).format(objects=" and ".join(_place(one) for one in named))


def _place(seen: SeenObject) -> str:
    where = "in the middle" if seen.side == "middle" else f"on the {seen.side}"
    return f"a {seen.name} {'near' if seen.near else 'far'} {where}"


def sound_caption(hearing: Hearing, rng: np.random.Generator) -> str:
    """Returns a sentence on the nearest two sounds, from near to far; empty if all are faint."""
    if not hearing.sounds:
        return "" if hearing.faint else f"{_choose(_NO_SOUND, rng)}."
    phrasing = _choose(_SOUND, rng)
    return "; ".join(_heard(sound, phrasing) for sound in hearing.sounds[:2]) + "."


def _heard(sound: HeardSound, phrasing: str) -> str:
    return phrasing.format(
        what=sound.what,
        verb=VOICE_OF_THING[sound.thing].verb,
        where="in the middle" if sound.side == "middle" else f"to the {sound.side}",
        distance="near" if sound.near else "far",
    )


def caption_facts(view: View) -> dict[str, str]:
    """Returns attribute -> value that the caption names: labels for probes on images.

    ``object`` is the nearest visible object, or ``none``.
    """
    nearest = min(view.objects, key=lambda one: one.distance_metres, default=None)
    return {
        "wall": view.wall,
        "floor": view.floor,
        "ceiling": view.ceiling,
        "light": view.light,
        "object": nearest.name if nearest else "none",
    }


def _choose(phrasings: Sequence[str], rng: np.random.Generator) -> str:
    return phrasings[int(rng.integers(len(phrasings)))]
