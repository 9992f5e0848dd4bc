"""Instruction success with a random model: what the measure itself finds, and its baselines."""

from dataclasses import replace

import pytest

from chiasm.evaluation.evaluate import evaluate
from chiasm.evaluation.instructed import InstructedWalks
from chiasm.evaluation.material import Material
from chiasm.evaluation.run import Run


@pytest.fixture(scope="module")
def listener(pretrained):
    """With room for sentences."""
    return replace(pretrained, context_positions=600)


@pytest.fixture(scope="module")
def run(listener, settings):
    asked = settings.model_copy(update={"instructions": 12, "steps": 1})
    return Run(listener, Material({}, {}), asked)


@pytest.fixture(scope="module")
def found(run, spoken_source):
    return InstructedWalks().measure_walks(run, spoken_source)


@pytest.mark.slow
def test_true_views_are_followed_to_the_experts_ends(found):
    rows = {row.name: row for row in found.rows}
    assert rows["what is said is done, by the true views, decoded: the ceiling"].value == 1
    assert rows["walks found again step by step from their true views"].value == 1


def test_every_instruction_is_in_one_group_of_each_split(found):
    rows = [row for row in found.rows if row.baseline_name == "random walker"]
    loops = [row for row in rows if "closed loop" in row.name]
    alike = [f"{row.name}, in the closed loop" for row in rows if row not in loops]
    assert [row.name for row in loops] == alike
    items = {row.name: row.num_items for row in rows if row not in loops}
    assert [row.num_items for row in loops] == [*items.values()]
    assert items.pop("what is said is done") == 12
    novel = [count for name, count in items.items() if "never" in name or "nothing" in name]
    placed = [count for name, count in items.items() if "first view" in name or "turn" in name]
    assert sum(novel) == sum(placed) == 12
    headlines = [row.baseline_name for row in found.rows if row.headline]
    assert headlines == 2 * ["other sentences", "random walker"]


def test_samples_show_both_walks_and_the_experts(found):
    [sample, *_] = found.samples
    labels = [panel.label for panel in sample.panels]
    assert labels[0] == "imagined from the first view"
    assert labels[-1] == "the expert's way"
    assert sum("closed loop" in label for label in labels) == 2
    assert len({panel.pixels.shape for panel in sample.panels}) == 1
    assert [label for label, _ in sample.lines] == [
        *("said", "meant", "done", "done in the closed loop")
    ]


def test_without_being_asked_for_they_are_listed_as_not_measured(listener, spoken_source, settings):
    few = settings.model_copy(update={"flow_documents": 2, "text_documents": 2})
    held_out = {"words": spoken_source}
    evaluation = evaluate(listener, Material(held_out, held_out), few)
    assert evaluation.skipped["instructions"] == "evaluation.instructions = 0"


def test_a_context_that_is_too_short_is_told_and_ends_nothing(pretrained, spoken_source, settings):
    few = settings.model_copy(
        update={"flow_documents": 2, "text_documents": 2, "instructions": 3, "steps": 1}
    )
    held_out = {"words": spoken_source}
    short = replace(pretrained, context_positions=40)
    evaluation = evaluate(short, Material(held_out, held_out), few)
    assert "the model's context holds 40" in evaluation.skipped["instructions"]
