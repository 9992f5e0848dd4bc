"""A recipe that reads instructions, from its settings to packed rows."""

from pathlib import Path

import pytest

from chiasm.assembly import build_inputs, open_material
from chiasm.assembly.objects import build_stream
from chiasm.assembly.walks import walk_documents
from chiasm.data.navigation import TrajectorySettings
from chiasm.data.recorded import RecordedSettings
from chiasm.data.robots import CatalogSettings
from chiasm.errors import UserError
from chiasm.evaluation.material import pick
from chiasm.inference.walks import WalkDocuments
from chiasm.recipe import Recipe, parse_recipe
from chiasm.worlds.instructions.source import InstructionSource


def recipe(sequence_length: int, **instructions: object) -> Recipe:
    return parse_recipe(
        {
            "name": "instructions",
            "world": {"train_maps": 3, "held_out_maps": 2, "views_per_map": 2},
            "instructions": {"walks_per_map": 6, **instructions},
            "tokenizer": {"vocabulary_tokens": 300},
            "stream": {
                "sequence_length": sequence_length,
                "sources": {"spoken": {"kind": "world", "task": "instructions"}},
            },
        }
    )


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the walks, which are those of all these recipes, are rendered once."""
    return tmp_path_factory.mktemp("cache")


@pytest.mark.slow
def test_instructions_are_read_whole(cache: Path):
    ours = recipe(1024)
    material = open_material(ours, cache)
    spoken = material.held_out["spoken"]
    assert isinstance(spoken, InstructionSource)
    items = pick(spoken, 12)
    assert set(items.clusters) == {1_000_000, 1_000_001}, "standard errors are clustered by map"
    stream = build_stream(ours, material.train, build_inputs(ours, material.train), seed=0)
    batch = next(stream)
    assert batch.slots["image"].target_N.any()
    assert stream.report().split == {"spoken": 0}
    stream.close()
    assert not list(cache.glob("worlds/world-*")), "views that no source shows are not rendered"


@pytest.mark.slow
def test_a_walk_longer_than_a_row_is_refused(cache: Path):
    short = recipe(128)
    material = open_material(short, cache)
    inputs = build_inputs(short, material.train)
    match = (
        r"sequence_length = 128 .*spoken: \d{3} positions.* 'action: .*\[8/8\]'.* "
        r"instructions.steps"
    )
    with pytest.raises(UserError, match=match):
        build_stream(short, material.train, inputs, seed=0)


def test_wrong_settings_are_named():
    with pytest.raises(UserError, match=r"instructions\.steps"):
        recipe(1024, steps=[9, 8])
    with pytest.raises(UserError, match=r"instructions\.walks_per_map"):
        recipe(1024, walks_per_map=0)


def test_rollouts_keep_to_the_documents_of_the_recipe():
    spoken = recipe(1024, steps=[2, 6])
    assert walk_documents(spoken) == WalkDocuments(views=7)
    assert walk_documents(recipe(1024, views=2)) == WalkDocuments(views=2, instruction_views=2)
    numeric = spoken.stream.sources["spoken"].model_copy(update={"task": "action_video"})
    recorded = RecordedSettings(task="action_video", trajectories=TrajectorySettings(frames=(2, 3)))
    sources = {**spoken.stream.sources, "numeric": numeric, "recorded": recorded}
    every = spoken.model_copy(
        update={
            "stream": spoken.stream.model_copy(update={"sources": sources}),
            "world": spoken.world.model_copy(update={"horizon_frames": (2, 9)}),
        }
    )
    assert walk_documents(every) == WalkDocuments(views=4, horizon_frames=(1, 9))
    driven = CatalogSettings(task="action_video", path="drives", frames=(2, 6))
    alone = every.stream.model_copy(update={"sources": {"driven": driven}})
    found = walk_documents(every.model_copy(update={"stream": alone}))
    assert found == WalkDocuments(views=6, poses=False)


@pytest.mark.slow
def test_a_stretch_fits_where_the_whole_way_does_not(cache: Path):
    short = recipe(128, views=2)
    material = open_material(short, cache)
    build_stream(short, material.train, build_inputs(short, material.train), seed=0).close()
