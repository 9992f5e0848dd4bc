"""The engine finds walks again from the views that they show."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from chiasm.actions import ActionFormat
from chiasm.documents import Split
from chiasm.poses import relative_pose
from chiasm.tokenizers.streams import StreamTokenizers
from chiasm.vision.pixels import pixel_tokenizer
from chiasm.worldmodel.oracle import Oracle
from chiasm.worldmodel.tracker import Tracker
from chiasm.worlds.instructions.ground import Ground
from chiasm.worlds.instructions.rendered import render_instructions
from chiasm.worlds.instructions.settings import InstructionSettings
from chiasm.worlds.instructions.source import InstructionSource
from chiasm.worlds.maps import generate_map
from chiasm.worlds.settings import WorldSettings


@pytest.fixture(scope="module")
def settings() -> WorldSettings:
    return WorldSettings(train_maps=1, held_out_maps=2, image_pixels=16)


@pytest.fixture(scope="module")
def walks(settings: WorldSettings, tmp_path_factory: pytest.TempPathFactory):
    few = InstructionSettings(walks_per_map=10)
    cache: Path = tmp_path_factory.mktemp("walks")
    return render_instructions(settings, few, Split.HELD_OUT, cache, num_processes=1)


@pytest.mark.slow
def test_true_views_are_followed_step_by_step_whatever_else_is_followed(
    world_model, settings, walks
):
    tokenizers = StreamTokenizers({"image": pixel_tokenizer(16, 8)})
    pretrained = replace(world_model, tokenizers=tokenizers)
    shape = pretrained.vision_tokenizer.image_shape
    seed = walks.walks[0].map_seed
    own = [walk for walk in walks.walks if walk.map_seed == seed]
    ground = Ground(generate_map(settings.seed, seed))
    true = [[walks.views[n].pose for n in walk.frames] for walk in own]
    views = [np.array(walks.frames[walk.frames[1] : walk.frames.stop]) for walk in own]
    noise = np.random.default_rng(0).integers(0, 256, views[0].shape, dtype=np.uint8)
    source = InstructionSource(walks)
    with Oracle(source.camera(), ActionFormat(), shape) as oracle:
        found = Tracker(pretrained, oracle, source.steps_from).follow(
            seed, [poses[0] for poses in [*true, true[0]]], [*views, noise]
        )
    for way, poses in zip(found[:-1], true, strict=True):
        for here, there in zip(way, poses, strict=True):
            assert np.abs(relative_pose(here, there)) == pytest.approx([0, 0, 0], abs=0.05)
    assert len(found[-1]) == len(true[0])
    assert all(ground.is_free_path(a, b) for a, b in pairwise(found[-1]))
