"""The model goes on from what is truly seen; its steps are taken in the engine."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from chiasm.actions import ActionFormat
from chiasm.documents import Split
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import SamplingSettings
from chiasm.inference.walks import WalkDocuments
from chiasm.poses import relative_pose
from chiasm.tokenizers.streams import StreamTokenizers
from chiasm.vision.pixels import pixel_tokenizer
from chiasm.worldmodel.closed_loop import ClosedLoop
from chiasm.worldmodel.oracle import Oracle
from chiasm.worldmodel.rollout import Context, Rollouts
from chiasm.worldmodel.tracker import Tracker
from chiasm.worlds.instructions.rendered import render_instructions
from chiasm.worlds.instructions.settings import InstructionSettings
from chiasm.worlds.instructions.source import InstructionSource
from chiasm.worlds.settings import WorldSettings

DRAW = SamplingSettings(steps=2, guidance=1)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> InstructionSource:
    settings = WorldSettings(train_maps=1, held_out_maps=1, image_pixels=16)
    few = InstructionSettings(walks_per_map=4, steps=(2, 5))
    cache: Path = tmp_path_factory.mktemp("walks")
    return InstructionSource(
        render_instructions(settings, few, Split.HELD_OUT, cache, num_processes=1)
    )


@contextmanager
def tracking(pretrained: Pretrained, source: InstructionSource) -> Iterator[Tracker]:
    shape = pretrained.vision_tokenizer.image_shape
    with Oracle(source.camera(), ActionFormat(), shape) as oracle:
        yield Tracker(pretrained, oracle, source.steps_from)


@pytest.fixture(scope="module")
def walks(source):
    return [source.instructed_walk(number) for number in range(source.num_walks)]


class Foresight:
    """Imagines the expert's next view, and keeps what it was shown."""

    def __init__(self, walks) -> None:
        self._walks, self.shown = {walk.words: walk for walk in walks}, []

    def ends(self, contexts, actions, *, seed):
        self.shown += zip(contexts, actions, seed, strict=True)
        views = []
        for context, [text] in zip(contexts, actions, strict=True):
            words = text.removeprefix("action: ").rpartition(" [")[0]
            views.append(self._walks[words].views[len(context.views)].pixels())
        return np.stack(views)


@pytest.mark.slow
def test_a_model_that_imagines_the_experts_views_walks_as_the_expert(world_model, source, walks):
    walks = list({walk.words: walk for walk in walks}.values())
    foresight = Foresight(walks)
    scripts = [
        [f"action: {walk.words} [{n + 1}/{walk.num_steps}]" for n in range(walk.num_steps)]
        for walk in walks
    ]
    tokenizers = StreamTokenizers({"image": pixel_tokenizer(16, 8)})
    with tracking(replace(world_model, tokenizers=tokenizers), source) as tracker:
        found = ClosedLoop(foresight, tracker).walk(
            walks[0].place,
            [walk.poses[0] for walk in walks],
            [walk.views[0].pixels() for walk in walks],
            scripts,
            seed=[10 * n for n in range(len(walks))],
        )
    assert len({walk.num_steps for walk in walks}) > 1
    for walk, own in zip(walks, found, strict=True):
        for here, there in zip(own.poses, walk.poses, strict=True):
            assert np.abs(relative_pose(here, there)) == pytest.approx([0, 0, 0], abs=0.05)
        assert len(own.imagined) == len(own.seen) == walk.num_steps
    last = max(walks, key=lambda walk: walk.num_steps)
    context, text, seed = foresight.shown[-1]
    way = found[walks.index(last)]
    assert text == [scripts[walks.index(last)][-1]]
    assert seed == 10 * walks.index(last) + last.num_steps - 1
    assert context.actions == tuple(scripts[walks.index(last)][:-1])
    assert np.array_equal(context.views[1:], way.seen[:-1])
    assert context.num_imagined == 0


@pytest.mark.slow
def test_each_step_is_imagined_from_what_the_engine_shows_there(world_model, source, walks):
    spoken = WalkDocuments(views=2, instruction_views=2)
    model = replace(world_model, walks=spoken, context_positions=600)
    walk = max(walks, key=lambda each: each.num_steps)
    script = [f"action: {walk.words} [{n + 1}/{walk.num_steps}]" for n in range(walk.num_steps)]
    rollouts = Rollouts.instructed(model, DRAW, walk.num_steps)
    with tracking(model, source) as tracker:
        pose, view = walk.poses[0], tracker.view(walk.place, walk.poses[0])
        loop = ClosedLoop(rollouts, tracker)
        [found] = loop.walk(walk.place, [pose], [view], [script], seed=[3])
        for number, text in enumerate(script):
            [imagined] = rollouts.imagine([Context((view,))], [[text]], seed=3 + number)
            assert np.array_equal(imagined[0], found.imagined[number])
            [pose] = tracker.steps(walk.place, [pose], imagined)
            assert pose == found.poses[number + 1]
            view = tracker.view(walk.place, pose)
            assert np.array_equal(view, found.seen[number])
