"""Views imagined one at a time against whole rollouts."""

from dataclasses import replace

import numpy as np
import pytest

from chiasm.documents import Image
from chiasm.errors import UserError
from chiasm.inference.request import SamplingSettings
from chiasm.inference.tasks import next_view
from chiasm.inference.walks import WalkDocuments
from chiasm.walk.commands import read_command
from chiasm.walk.starts import Start
from chiasm.walk.walker import Frame, Walker
from chiasm.worldmodel.rollout import Context, Rollouts

DRAW = SamplingSettings(steps=2, guidance=1.0)


@pytest.fixture
def start() -> Start:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Start("noise", pixels)


def walked(walker: Walker, start: Start, *typed: str, seed: int = 0) -> list[Frame]:
    """Steps, and instructions written as "turn around 2/3"."""
    frames = [walker.begin(start)]
    for each in typed:
        words, _, mark = each.rpartition(" ")
        number, of = map(int, mark.split("/")) if "/" in mark else (1, 1)
        actions = walker.pretrained.actions
        command = read_command(words if "/" in mark else each, actions, number=number, of=of)
        frames.append(walker.step(frames, command, seed=seed, guidance=1.0))
    return frames


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_with_documents_of_two_views_a_walk_is_a_rollout(world_model, start, noise: float) -> None:
    model = replace(world_model, walks=WalkDocuments(views=2))
    sampling = DRAW.model_copy(update={"history_noise": noise})
    frames = walked(Walker(model, sampling), start, "W", "A", "WD", seed=7)
    texts = [frame.command.text for frame in frames[1:] if frame.command]
    [views] = Rollouts.of(model, sampling).imagine([Context((start.view,))], [texts], seed=7)
    np.testing.assert_array_equal(np.stack([frame.view for frame in frames[1:]]), views)


def test_a_document_goes_on_until_it_is_as_long_as_those_of_training(walker, start) -> None:
    frames = walked(walker, start, "W", "A", "W", "D", "S")
    # Three views at most: the oldest one leaves for the fourth.
    assert [frame.document_begin for frame in frames] == [0, 0, 0, 1, 2, 3]
    expected = next_view(
        walker._sampler,
        [[Image(frames[2].view, target=False), Image(frames[3].view, target=False)]],
        [[frames[3].command.text, frames[4].command.text]],
        settings=DRAW.model_copy(update={"steps": walker.sampling.steps}),
        seed=3,
    )
    np.testing.assert_allclose(frames[4].view.astype(int), expected[0].astype(int), atol=1)


def test_an_instruction_has_a_document_of_its_own(walker, start) -> None:
    frames = walked(walker, start, "W", "turn around 1/2", "turn around 2/2", "W", "halt 1/1")
    assert [frame.document_begin for frame in frames] == [0, 0, 1, 1, 3, 4]


def test_an_instruction_is_read_in_documents_as_long_as_its_training(world_model, start) -> None:
    model = replace(world_model, walks=WalkDocuments(views=4, instruction_views=2))
    frames = walked(Walker(model, DRAW), start, "W", "A", "halt 1/3", "halt 2/3", "halt 3/3", "D")
    assert [frame.document_begin for frame in frames] == [0, 0, 0, 2, 3, 4, 5]
    texts = [frame.command.text for frame in frames[3:6]]
    rollouts = Rollouts.instructed(model, DRAW, 3)
    [views] = rollouts.imagine([Context((frames[2].view,))], [texts], seed=2)
    np.testing.assert_array_equal(np.stack([frame.view for frame in frames[3:6]]), views)


def test_the_same_steps_lead_to_the_same_views(walker, start) -> None:
    first, again = (walked(walker, start, "W", "A", seed=3) for _ in range(2))
    other = walked(walker, start, "W", "D", seed=3)
    luck = walked(walker, start, "W", "A", seed=4)
    np.testing.assert_array_equal(first[2].view, again[2].view)
    assert (first[2].view != other[2].view).any()
    assert (first[1].view != luck[1].view).any()


def test_the_place_is_known_until_an_instruction(walker, starts) -> None:
    frames = walked(walker, starts[0], "A", "turn around 1/1", "W")
    before, turned = frames[0].place, frames[1].place
    assert (turned.pose.yaw_degrees - before.pose.yaw_degrees) % 360 == pytest.approx(20, abs=0.01)
    assert frames[2].place is frames[3].place is None


def test_an_instruction_longer_than_the_context_is_refused(world_model, start) -> None:
    walker = Walker(replace(world_model, walks=WalkDocuments(views=3), context_positions=40), DRAW)
    with pytest.raises(UserError, match="context holds 40"):
        walked(walker, start, "go " * 90 + "1/1")


def test_a_model_without_actions_is_refused(world_model) -> None:
    with pytest.raises(UserError, match="trained without actions"):
        Walker(world_model, DRAW)
