"""Questions about a view with exact answers, drawn so that no answer can be guessed blindly.

Every question belongs to a topic, and an image gets at most one question of each, because one
answer could give away another's. A yes/no question has yes or no with equal probability, and every
other answer is thinned to the share of its question's rarest answer.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain

import numpy as np

from chiasm.documents import Text, question_spans
from chiasm.worlds.maps import CEILINGS, FLOORS, KINDS, WALLS
from chiasm.worlds.truth import View

KINDS_OF_TOPIC = {
    "wall": ("material", "yes_no"),
    "floor": ("material", "yes_no"),
    "ceiling": ("material", "yes_no"),
    "light": ("light",),
    "objects": ("how_many", "side", "colour", "distance", "what", "yes_no"),
}
QUESTION_KINDS = ("material", "light", "how_many", "side", "colour", "distance", "what", "yes_no")
_FEWEST = 3
_NUMBERS = ("zero", "one", "two")


@dataclass(frozen=True, slots=True)
class Question:
    """One question with its answer, a word or two."""

    topic: str
    kind: str
    question: str
    answer: str

    @property
    def spans(self) -> tuple[Text, Text]:
        """Prompt, ``question: ...? answer:``, and the answer with a line break."""
        return question_spans(self.question, self.answer)


def all_questions(view: View) -> list[Question]:
    """Returns every question that the view answers without ambiguity."""
    if not view.clear:
        return []
    surfaces = _surface_questions(view.wall, view.floor, view.ceiling, view.light)
    return [*surfaces, *_object_questions(view)]


@cache
def _surface_questions(wall: str, floor: str, ceiling: str, light: str) -> tuple[Question, ...]:
    return (
        Question("wall", "material", "what is the wall made of?", wall),
        Question("floor", "material", "what is on the floor?", floor),
        Question("ceiling", "material", "what is above?", ceiling),
        Question("light", "light", "is the room bright or dim?", light),
        *(_yes_no("wall", f"is the wall made of {name}?", name == wall) for name in WALLS),
        *(_yes_no("floor", f"is there {name} on the floor?", name == floor) for name in FLOORS),
        *(_yes_no("ceiling", f"is there {name} above?", name == ceiling) for name in CEILINGS),
    )


def _object_questions(view: View) -> Iterator[Question]:
    if not view.faint and len(view.objects) < len(_NUMBERS):
        number = _NUMBERS[len(view.objects)]
        yield Question("objects", "how_many", "how many objects are there?", number)
    if not view.objects:
        return
    names = Counter(seen.name for seen in view.objects)
    for kind in KINDS:
        if kind.name not in view.faint:
            question = f"is there a {kind.name}?"
            yield _yes_no("objects", question, kind.name in names)
    for seen in view.objects:
        if names[seen.name] > 1 or seen.name in view.faint:
            continue
        yield Question("objects", "side", f"where is the {seen.name}?", seen.side)
        distance = "near" if seen.near else "far"
        yield Question("objects", "distance", f"is the {seen.name} near or far?", distance)
    if len(view.objects) == 1 and not view.faint:
        seen = view.objects[0]
        yield Question("objects", "what", "what stands here?", seen.name)
        if seen.colour:
            question = f"which colour is the {seen.noun}?"
            yield Question("objects", "colour", question, seen.colour)


def _yes_no(topic: str, question: str, holds: bool) -> Question:
    return Question(topic, "yes_no", question, "yes" if holds else "no")


class Balance:
    """Frequency of each true answer over some views, by which frequent ones are thinned.

    Args:
        asked: all questions of each view, as :func:`all_questions` returns them.
    """

    def __init__(self, asked: Iterable[Iterable[Question]]) -> None:
        self._answers: dict[str, Counter[str]] = defaultdict(Counter)  # question -> answers
        self._subjects: dict[str, Counter[str]] = defaultdict(Counter)  # topic -> affirmed
        for question in chain.from_iterable(asked):
            self._answers[question.question][question.answer] += 1
            if question.answer == "yes":
                self._subjects[question.topic][question.question] += 1

    def share_to_keep(self, question: Question) -> float:
        """Returns the share of a true answer to keep, so that all answers become equally frequent.

        For a yes it makes all that a topic can affirm equally frequent.
        """
        if question.answer == "yes":
            counts, key = self._subjects[question.topic], question.question
        else:
            counts, key = self._answers[question.question], question.answer
        return min(counts.values()) / counts[key] if counts[key] else 1.0


def questions(view: View, rng: np.random.Generator, balance: Balance) -> list[Question]:
    """Returns three to five questions about a clear view, one per topic at most, shuffled."""
    by_topic = topics_of(all_questions(view))
    asked: list[Question] = []
    while by_topic and len(asked) < _FEWEST:
        topics = rng.permutation(list(by_topic))
        asked = [q for topic in topics if (q := draw_question(by_topic[topic], rng, balance))]
    return asked[: int(rng.integers(_FEWEST, len(KINDS_OF_TOPIC) + 1))]


def topics_of(asked: Iterable[Question]) -> dict[str, list[Question]]:
    """Returns the questions of each topic."""
    by_topic: dict[str, list[Question]] = defaultdict(list)
    for question in asked:
        by_topic[question.topic].append(question)
    return by_topic


def draw_question(
    candidates: list[Question],
    rng: np.random.Generator,
    balance: Balance,
    kinds_of_topic: Mapping[str, Sequence[str]] = KINDS_OF_TOPIC,
) -> Question | None:
    """Returns one of a topic's questions, of the first kind that the view allows, or None."""
    for turn, kind in enumerate(rng.permutation(kinds_of_topic[candidates[0].topic])):
        pool = [question for question in candidates if question.kind == kind]
        # An empty view allows a count and little else; as a last resort it would always be zero.
        if not pool or (kind == "how_many" and turn):
            continue
        drawn = _affirm_or_deny(pool, rng) if kind == "yes_no" else _any(pool, rng)
        if drawn:
            return drawn[1] if rng.random() < balance.share_to_keep(drawn[0]) else None
    return None


def _any(pool: list[Question], rng: np.random.Generator) -> tuple[Question, Question]:
    """Returns a question twice: itself, and the one whose frequency decides whether it is kept."""
    question = pool[int(rng.integers(len(pool)))]
    return question, question


def _affirm_or_deny(
    pool: list[Question], rng: np.random.Generator
) -> tuple[Question, Question] | None:
    """Returns a true thing affirmed or a false one denied, with equal probability.

    The true one decides whether it is kept. If each thing is equally often true, each question then
    has as many yeses as noes.
    """
    true = [question for question in pool if question.answer == "yes"]
    false = [question for question in pool if question.answer == "no"]
    if not true or not false:
        return None
    subject, _ = _any(true, rng)
    return subject, (subject if rng.random() < 0.5 else _any(false, rng)[0])
