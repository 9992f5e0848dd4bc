import re

import numpy as np
import pytest

from chiasm.actions import marked
from chiasm.worlds.instructions.goals import HELD_OUT_GOALS, Goal
from chiasm.worlds.instructions.grammar import (
    HELD_OUT_FRAMES,
    HELD_OUT_VERBS,
    NOVELTIES,
    VERBS,
    sentence,
    sentences,
)
from chiasm.worlds.instructions.rendered import InstructedWalks
from chiasm.worlds.instructions.source import InstructionSource
from chiasm.worlds.settings import TASKS
from chiasm.worlds.sources import WorldSource
from chiasm.worlds.world import World

SAID = "|".join(
    [
        *sorted({verb for verbs in HELD_OUT_VERBS.values() for verb in verbs}),
        *(frame.replace("{}", "").strip(" ,?!") for frame in HELD_OUT_FRAMES),
    ]
)
NOVEL = re.compile(rf"(?<!\w)(?:{SAID})(?!\w)")


def test_sentences_read_as_people_speak():
    torch = sentences(Goal("object", "red torch"), "none")
    assert "go to the red torch" in torch
    assert "please walk to the red torch" in torch
    assert len(set(torch)) == len(torch) >= 15
    assert "go through the door on the left" in sentences(Goal("door", "left"), "none")
    assert "leave the dark room" in sentences(Goal("leave", "dim room"), "none")
    assert "turn around" in sentences(Goal("turn", "around"), "none")
    assert "take two steps back!" in sentences(Goal("walk", "two back"), "none")
    assert "rush to the red torch" in sentences(Goal("object", "red torch"), "verb")
    assert "could you go to the red torch?" in sentences(Goal("object", "red torch"), "phrasing")


def test_a_sentence_has_the_novelty_it_says():
    for kind in VERBS:
        for goal in (goal for goal in HELD_OUT_GOALS if goal.kind == kind):
            assert [bool(sentences(goal, n)) for n in NOVELTIES] == [False, True, False, False]
    goal = Goal("object", "red torch")
    assert not sentences(goal, "goal")
    assert not any(NOVEL.search(said) for said in sentences(goal, "none"))
    for novelty in ("verb", "phrasing"):
        assert all(NOVEL.search(said) for said in sentences(goal, novelty))
        assert not set(sentences(goal, novelty)) & set(sentences(goal, "none"))
    assert sentence(goal, "none", np.random.default_rng(3)) in sentences(goal, "none")


def test_progress_is_marked():
    assert marked("turn around", 2, 5) == "action: turn around [2/5]"


@pytest.mark.slow
def test_no_training_instruction_has_what_is_held_out(train_walks: InstructedWalks):
    source = InstructionSource(train_walks)
    forbidden = {said for goal in HELD_OUT_GOALS for said in sentences(goal, "goal")}
    for index in range(len(source)):
        instruction = source.instruction_of(index)
        assert instruction.novelty == "none"
        assert instruction.goal not in HELD_OUT_GOALS
        assert instruction.words not in forbidden
        assert not NOVEL.search(instruction.words)


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_nor_has_any_other_training_document(train: World, task: str):
    source = WorldSource(train, task)
    for index in range(min(len(source), 1500)):
        assert not NOVEL.search(source[index].text), source[index].text
