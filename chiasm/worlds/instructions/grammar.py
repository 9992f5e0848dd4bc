"""Sentences of instructions: frames, verbs and complements, some held out of training.

A sentence is a frame around a verb and a complement: ``please | go to | the red torch``. Training
uses the first of each pair of tables alone; :data:`NOVELTIES` lists what a held-out sentence may
have that no training document has, one thing at a time.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from chiasm.worlds.instructions.goals import HELD_OUT_GOALS, Goal

NOVELTIES = ("none", "goal", "verb", "phrasing")
"""The new part of a sentence to a model: nothing, its goal, its verb, or the words around them."""

FRAMES = ("{}", "please {}", "{} please", "now {}", "{}!")
HELD_OUT_FRAMES = ("could you {}?", "i want you to {}", "{}, will you?")

_GO = ("go to", "walk to", "move to", "go over to")
_GO_IN = ("go into", "walk into", "move into", "go to")
VERBS = {
    "object": _GO,
    "face": ("look at", "turn to", "turn towards"),
    "wall": _GO_IN,
    "floor": _GO_IN,
    "ceiling": _GO_IN,
    "light": _GO_IN,
    "door": ("go through", "walk through", "take"),
    "leave": ("leave", "go out of", "walk out of"),
    "turn": ("turn", "rotate"),
    "walk": ("take", "go", "walk"),
}
_HELD_OUT_GO_IN = ("enter", "find")
HELD_OUT_VERBS = {
    "object": ("rush to", "approach"),
    "face": ("face",),
    "wall": _HELD_OUT_GO_IN,
    "floor": _HELD_OUT_GO_IN,
    "ceiling": _HELD_OUT_GO_IN,
    "light": _HELD_OUT_GO_IN,
    "door": ("pass through",),
    "leave": ("exit", "get out of"),
    "turn": ("spin", "swing"),
    "walk": ("march",),
}
_COMPLEMENTS = {
    "object": "the {}",
    "face": "the {}",
    "wall": "the {} room",
    "floor": "the room with {} on the floor",
    "ceiling": "the room with {} above",
    "light": "a {} room",
    "turn": "{}",
}
_DOORS = {
    "left": "the door on the left",
    "right": "the door on the right",
    "ahead": "the door ahead",
    "behind": "the door behind you",
}
_LIGHT_WORDS = {"dim": ("dim", "dark"), "bright": ("bright",)}


def sentences(goal: Goal, novelty: str) -> list[str]:
    """Returns every sentence for ``goal`` with this novelty; none where the goal's own is another.

    A goal that is held out can only be said with novelty ``goal``.
    """
    if (goal in HELD_OUT_GOALS) != (novelty == "goal"):
        return []
    verbs = HELD_OUT_VERBS if novelty == "verb" else VERBS
    frames = HELD_OUT_FRAMES if novelty == "phrasing" else FRAMES
    return [
        frame.format(f"{verb} {complement}")
        for frame, verb, complement in product(frames, verbs[goal.kind], _complements(goal))
    ]


def sentence(goal: Goal, novelty: str, rng: np.random.Generator) -> str:
    """Returns one of :func:`sentences`."""
    choices = sentences(goal, novelty)
    return choices[int(rng.integers(len(choices)))]


def _complements(goal: Goal) -> list[str]:
    if goal.kind == "door":
        return [_DOORS[goal.what]]
    if goal.kind == "walk":
        count, way = goal.what.split()
        return [f"{count} steps {way}"]
    if goal.kind == "leave":
        word, _ = goal.what.split()
        if word == "this":
            return ["this room"]
        return [f"the {said} room" for said in _LIGHT_WORDS.get(word, (word,))]
    words = _LIGHT_WORDS.get(goal.what, (goal.what,))
    return [_COMPLEMENTS[goal.kind].format(word) for word in words]
