from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from chiasm.documents import Split
from chiasm.errors import UserError
from chiasm.worlds.instructions.rendered import InstructedWalks, render_instructions
from chiasm.worlds.instructions.settings import InstructionSettings
from chiasm.worlds.settings import WorldSettings


@pytest.mark.slow
def test_frames_do_not_depend_on_processes(tmp_path: Path):
    world = WorldSettings(train_maps=9)  # more than one archive
    few = InstructionSettings(walks_per_map=2)
    one, two = (
        render_instructions(world, few, Split.TRAIN, tmp_path / str(number), num_processes=number)
        for number in (1, 2)
    )
    assert len(one) == 18
    np.testing.assert_array_equal(one.frames, two.frames)
    assert one.views == two.views
    assert one.walks == two.walks


@pytest.mark.slow
def test_the_cache_is_opened_again_and_follows_the_settings(
    train_walks: InstructedWalks, settings: WorldSettings, cache: Path
):
    calls: list[tuple[int, int]] = []
    again = render_instructions(
        settings.model_copy(update={"views_per_map": 3, "held_out_maps": 9}),
        train_walks.settings,
        Split.TRAIN,
        cache,
        progress=lambda *call: calls.append(call),
    )
    assert calls == [(10, 10)]
    assert again.folder == train_walks.folder
    assert {path.name for path in again.folder.iterdir()} == {
        *("frames.npy", "views.jsonl", "walks.jsonl", "settings.json", "manifest.json")
    }
    few = WorldSettings(train_maps=1, image_pixels=16)
    other = render_instructions(few, InstructionSettings(walks_per_map=2), Split.TRAIN, cache)
    assert other.folder != again.folder
    assert len(other) == 2


@pytest.mark.parametrize("steps", [(0, 8), (5, 8), (2, 4), (2, 41)])
def test_steps_within_which_no_goal_lies_are_refused(steps: tuple[int, int]):
    with pytest.raises(ValidationError, match="fewest from 1 to 4, most from 5 to 40"):
        InstructionSettings(steps=steps)


def test_walks_larger_than_the_disk_are_refused_before_work(tmp_path: Path):
    huge = WorldSettings(train_maps=1_000_000, image_pixels=192)
    with pytest.raises(UserError, match=r"train instructions needs .* free some space"):
        render_instructions(huge, InstructionSettings(walks_per_map=10**6), Split.TRAIN, tmp_path)
