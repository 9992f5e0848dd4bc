from collections import Counter, defaultdict
from collections.abc import Iterator

import numpy as np
import pytest

from chiasm.worlds.hearing import HeardSound, Hearing
from chiasm.worlds.questions import Balance, Question
from chiasm.worlds.sound_questions import all_sound_questions, sound_questions
from chiasm.worlds.sounds import VOICES
from chiasm.worlds.world import World

BELL = HeardSound("bell", "skull", "left", 2.0, True)
DRIP = HeardSound("drip", "barrel", "middle", 3.2, False)


def answers(*sounds: HeardSound, faint: tuple[str, ...] = ()) -> dict[str, str]:
    asked = all_sound_questions(Hearing(sounds, faint))
    return {question.question: question.answer for question in asked}


def test_one_sound_is_asked_about_in_every_way():
    assert answers(BELL) == {
        "how many sounds are there?": "one",
        "what sounds here?": "bell",
        "is there a bell?": "yes",
        "is there a drip?": "no",
        "is there a hum?": "no",
        "is there a buzz?": "no",
        "where is the bell?": "left",
        "is the bell near or far?": "near",
    }


def test_nobody_is_asked_what_cannot_be_told():
    assert answers() == answers(faint=("bell",)) == {}
    two = answers(BELL, DRIP)
    assert two["how many sounds are there?"] == "two"
    assert "what sounds here?" not in two
    assert "is the drip near or far?" not in two  # too close to the border
    hardly = answers(BELL, faint=("hum",))
    assert not any("hum" in question or "how many" in question for question in hardly)
    twice = answers(BELL, HeardSound("bell", "skull", "right", 4.0, False))
    assert not any(question.startswith(("where is", "is the bell near")) for question in twice)
    assert twice["is there a bell?"] == "yes"


@pytest.fixture(scope="module")
def asked(sounding: World) -> list[list[Question]]:
    hearings = [view.hearing for view in sounding.views]
    balance = Balance(map(all_sound_questions, hearings))
    return [
        sound_questions(hearing, np.random.default_rng([variant, number]), balance)
        for variant in range(20)
        for number, hearing in enumerate(hearings)
    ]


@pytest.mark.slow
def test_a_sound_is_asked_once_a_topic_and_presence_first(asked: list[list[Question]]):
    assert {len(questions) for questions in asked} == {0, 1, 2, 3}
    order = ["presence", "side", "distance"]
    for questions in asked:
        places = [order.index(question.topic) for question in questions]
        assert places == sorted(set(places))


@pytest.mark.slow
def test_silence_gives_no_answer_away(asked: list[list[Question]]):
    """For every question often asked, each answer comes about equally often."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for question in (question for questions in asked for question in questions):
        counts[question.question][question.answer] += 1
    frequent = [counter for counter in counts.values() if counter.total() > 100]
    assert len(frequent) >= 2 * len(VOICES)
    for counter in frequent:
        fair = counter.total() / len(counter)
        assert counter.most_common(1)[0][1] < 1.2 * fair + 4 * fair**0.5, counter


def alone(world: World) -> Iterator[tuple[dict[str, str], np.ndarray]]:
    """Answers about sounds that are heard alone, and the power of each on the left and right."""
    for sound, view in zip(world.sounds, world.views, strict=True):
        said = {question.kind: question.answer for question in all_sound_questions(view.hearing)}
        if "what" in said:
            yield said, np.square(sound.astype(float)).mean(axis=1)


def test_the_louder_ear_says_the_side(sounding: World):
    sides = Counter()
    for said, power in alone(sounding):
        left, right = np.sqrt(power)
        lean = (left - right) / (left + right)
        side = "middle" if abs(lean) < 0.31 else "left" if lean > 0 else "right"
        if not 0.29 < abs(lean) < 0.33:  # the border
            assert said["side"] == side
            sides[side] += 1
    assert min(sides[side] for side in ("left", "middle", "right")) >= 3


def test_the_level_alone_says_near_or_far(sounding: World):
    """From any direction: of one kind, every sound that is near is louder than any that is far."""
    levels: dict[tuple[str, str], list[float]] = defaultdict(list)
    for said, power in alone(sounding):
        if "distance" in said:
            levels[said["what"], said["distance"]].append(power.sum())
    for voice in VOICES:
        assert min(levels[voice.what, "near"]) > max(levels[voice.what, "far"])
