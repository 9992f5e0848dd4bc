"""Questions about what is heard: which sound, on which side and how far away.

As with views, no answer gives another one's away: which sounds there are is asked first, then where
one of them is, then how far.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from chiasm.worlds.hearing import NEAR_METRES, Hearing
from chiasm.worlds.questions import Balance, Question, draw_question, topics_of
from chiasm.worlds.sounds import VOICES

_KINDS_OF_TOPIC = {
    "presence": ("how_many", "what", "yes_no"),
    "side": ("side",),
    "distance": ("distance",),
}
_NUMBERS = ("zero", "one", "two")
_BETWEEN_METRES = 0.5
"""A sound behind is softer than one ahead: this close to the border nobody hears near or far."""


def all_sound_questions(hearing: Hearing) -> list[Question]:
    """Returns every question that is answered by what is heard; none where nothing is."""
    return list(_questions(hearing))


def _questions(hearing: Hearing) -> Iterator[Question]:
    whats = Counter(sound.what for sound in hearing.sounds)
    if not whats:
        return
    if not hearing.faint and len(hearing.sounds) < len(_NUMBERS):
        number = _NUMBERS[len(hearing.sounds)]
        yield Question("presence", "how_many", "how many sounds are there?", number)
    if not hearing.faint and len(hearing.sounds) == 1:
        what = hearing.sounds[0].what
        yield Question("presence", "what", "what sounds here?", what)
    for voice in VOICES:
        if voice.what not in hearing.faint:
            answer = "yes" if voice.what in whats else "no"
            question = f"is there a {voice.what}?"
            yield Question("presence", "yes_no", question, answer)
    for sound in hearing.sounds:
        if whats[sound.what] > 1 or sound.what in hearing.faint:
            continue
        yield Question("side", "side", f"where is the {sound.what}?", sound.side)
        if abs(sound.distance_metres - NEAR_METRES) >= _BETWEEN_METRES:
            distance = "near" if sound.near else "far"
            question = f"is the {sound.what} near or far?"
            yield Question("distance", "distance", question, distance)


def sound_questions(hearing: Hearing, rng: np.random.Generator, balance: Balance) -> list[Question]:
    """Returns one to three questions about what is heard, one a topic.

    There are none where no sound is heard that is the only one of its kind.
    """
    by_topic = topics_of(all_sound_questions(hearing))
    asked: list[Question] = []
    # A side alone is sure to be asked in the end.
    while "side" in by_topic and not asked:
        drawn = (
            draw_question(by_topic[topic], rng, balance, _KINDS_OF_TOPIC)
            for topic in _KINDS_OF_TOPIC
            if topic in by_topic
        )
        asked = [question for question in drawn if question]
    return asked
