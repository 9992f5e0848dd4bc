from collections import Counter, defaultdict

import numpy as np
import pytest

from chiasm.documents import Text
from chiasm.worlds.questions import QUESTION_KINDS, Balance, Question, all_questions, questions
from chiasm.worlds.world import World


@pytest.fixture(scope="module")
def asked(train: World) -> list[Question]:
    balance = Balance(map(all_questions, train.views))
    return [
        question
        for variant in range(20)
        for number in train.clear_frames
        for question in questions(
            train.views[number], np.random.default_rng([variant, number]), balance
        )
    ]


@pytest.mark.slow
def test_answers_are_true(train: World):
    for number in train.clear_frames:
        view = train.views[number]
        answers = {question.question: question.answer for question in all_questions(view)}
        assert answers["what is the wall made of?"] == view.wall
        assert answers[f"is the wall made of {view.wall}?"] == "yes"
        assert answers["what is on the floor?"] == view.floor
        assert answers["what is above?"] == view.ceiling
        assert answers["is the room bright or dim?"] == view.light
        count = answers.get("how many objects are there?")
        if count:
            assert count == ("zero", "one", "two")[len(view.objects)]
        for seen in view.objects:
            assert answers.get(f"is there a {seen.name}?", "yes") == "yes"
            assert answers.get(f"where is the {seen.name}?", seen.side) == seen.side
            assert answers.get(f"which colour is the {seen.noun}?", seen.colour) == seen.colour


def test_nothing_is_asked_about_what_hardly_shows(train: World):
    for view in train.views:
        for question in all_questions(view):
            assert not any(name in question.question for name in view.faint)
            assert not (view.faint and question.kind in ("how_many", "what", "colour"))


def test_unclear_views_are_not_asked_about(train: World):
    view = next(view for view in train.views if not view.clear)
    assert all_questions(view) == []
    assert questions(view, np.random.default_rng(0), Balance(map(all_questions, train.views))) == []


def test_a_picture_is_asked_once_a_topic(train: World):
    balance = Balance(map(all_questions, train.views))
    for number in train.clear_frames:
        drawn = questions(train.views[number], np.random.default_rng(number), balance)
        assert 3 <= len(drawn) <= 5
        assert len({question.topic for question in drawn}) == len(drawn)


@pytest.mark.slow
def test_yes_and_no_are_equally_frequent(asked: list[Question]):
    answers = Counter(question.answer for question in asked if question.kind == "yes_no")
    assert 0.47 < answers["yes"] / answers.total() < 0.53


def test_a_blank_picture_gives_no_answer_away(asked: list[Question]):
    """For every question often asked, each answer comes about equally often."""
    answers: dict[str, Counter[str]] = defaultdict(Counter)
    for question in asked:
        answers[question.question][question.answer] += 1
    frequent = [counts for counts in answers.values() if counts.total() > 150]
    assert len(frequent) >= 15
    for counts in frequent:
        fair = counts.total() / len(counts)
        assert counts.most_common(1)[0][1] < 1.15 * fair + 4 * fair**0.5, counts


def test_all_kinds_are_asked(asked: list[Question]):
    assert {question.kind for question in asked} == set(QUESTION_KINDS)


def test_a_question_reads_as_the_contract_says():
    question = Question("wall", "material", "what is the wall made of?", "brick")
    assert question.spans == (
        Text("question: what is the wall made of? answer:"),
        Text(" brick\n"),
    )
