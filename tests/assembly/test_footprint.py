"""What a rehearsed step allocates and sends, and that it asks no tensor for its numbers.

tests/ranks/test_footprint.py has the same bytes beside those of ranks that run.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from chiasm.assembly.footprint import Footprint, footprint
from chiasm.errors import UserError
from chiasm.model.router import Router
from chiasm.recipe import load_recipe

MODELS = {
    "dense": {"model.experts": "dense"},
    "moe": {"model.experts": "moe", "model.moe.num_experts": 8, "model.moe.granularity": 2},
    "average": {
        "model.experts": "dense",
        "model.inner": {"block": 1, "target": "average"},
        "training.ema_decay": 0.9,
    },
}


@pytest.fixture(scope="module")
def found(
    tiny_recipe: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Footprint]:
    """Rehearses a recipe whose data is not there."""
    nowhere = tmp_path_factory.mktemp("nowhere")
    recipe = tiny_recipe(
        nowhere / "recipe.toml",
        "model.width=64",
        "model.depth=2",
        "model.query_heads=4",
        "model.key_value_heads=2",
        "stream.batch_size=8",
        "stream.lanes=8",
        data=nowhere,
    )

    def rehearsed(ranks: int = 1, of_a_machine: int = 8, **settings: object) -> Footprint:
        return footprint(load_recipe(recipe, settings), ranks, of_a_machine)

    return rehearsed


@pytest.mark.parametrize("model", MODELS)
def test_a_step_asks_for_numbers_only_where_it_begins_and_ends(found, model: str) -> None:
    """Times and noise are drawn by what rows hold; then nothing until gradients are clipped."""
    waits = found(**MODELS[model]).waits
    begins = {"training/noise.py", "training/objective.py"}
    assert {place.file for phase, place in waits if phase == "forward"} == begins
    assert not [place for phase, place in waits if phase == "backward"]
    ends = [(place.file, place.operation) for phase, place in waits if phase == "update"]
    assert ends == [("loop/clipping.py", "item")]


ADDED = {
    "item": lambda x: x * float(x.amax() > 0),
    "nonzero": lambda x: x + len(x.nonzero()),
    "boolean index": lambda x: x + x[x > 0].sum(),
    "tolist": lambda x: x + sum(x[:, 0].tolist()),
}


@pytest.mark.parametrize("operation", ADDED)
def test_one_that_is_added_is_named(found, operation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    forward = Router.forward

    def asking(router: Router, x_MD: torch.Tensor):
        return forward(router, ADDED[operation](x_MD))

    monkeypatch.setattr(Router, "forward", asking)
    waits = found(**MODELS["moe"]).waits
    here = [(place.operation, n) for (_, place), n in waits.items() if place.file == __file__]
    assert (operation, 2) in here, waits


def test_shards_hold_their_share_and_gather_a_block_at_a_time(found) -> None:
    alone, shard = found(), found(8)
    assert alone.memory.gathered_block == alone.memory.gathered_root == 0
    assert shard.memory.parameters == pytest.approx(alone.memory.parameters / 8, rel=0.02)
    assert shard.memory.optimizer == pytest.approx(2 * shard.memory.gradients, rel=0.02)
    # In bfloat16: half the bytes of the float32 weights that a process has.
    gathered = 2 * shard.memory.gathered_block + shard.memory.gathered_root
    assert gathered == alone.memory.parameters // 2
    assert shard.shard_ranks == 8
    assert found(8, of_a_machine=4).shard_ranks == 4


def test_collectives_of_shards_are_those_of_the_algorithm(found) -> None:
    """Each block is gathered for both passes and the root once; gradients are summed in float32."""
    weights = found().memory.parameters
    shards, copies = found(8).traffic, found(8, **{"training.parallel.shard_ranks": 1}).traffic
    blocks = 2
    assert shards["all-gather"].calls == 2 * blocks + 1
    assert shards["reduce-scatter"].calls == blocks + 1
    assert shards["reduce-scatter"].bytes == pytest.approx(weights, rel=0.02)
    assert set(copies) == {"all-reduce"}
    assert copies["all-reduce"].bytes == pytest.approx(weights, rel=0.02)


def test_experts_in_parallel_travel_four_times_a_block_and_are_waited_for(found) -> None:
    """Counts, weights, rows there and back; weights and rows travel once more in the backward
    pass."""
    apart = {**MODELS["moe"], "training.parallel.expert_ranks": 4}
    moe = found(4, **apart)
    assert moe.traffic["all-to-all"].calls == 2 * (4 + 3)
    waits = {(phase, place.file): n for (phase, place), n in moe.waits.items()}
    assert waits["forward", "model/exchange.py"] == 2
    again = found(4, **apart, **{"training.activation_checkpointing": "full"})
    waits = {(phase, place.file): n for (phase, place), n in again.waits.items()}
    assert waits["backward", "model/exchange.py"] == 2
    assert again.memory.activations < 0.7 * moe.memory.activations


@pytest.mark.parametrize("model", MODELS)
def test_the_models_count_of_products_is_torchs(found, model: str) -> None:
    """Without attention, whose pairs torch does not see; the backward pass of what reads latents
    and times needs no gradient of these."""
    rehearsed = found(**MODELS[model], **{"stream.sequence_length": 64})
    assert rehearsed.product_flops == pytest.approx(rehearsed.flops, rel=0.1)


def test_what_ranks_cannot_share_is_refused(found) -> None:
    for name in ("stream.batch_size", "stream.lanes"):
        with pytest.raises(UserError, match=name):
            found(4, **{name: 6})
    with pytest.raises(UserError, match="expert_ranks"):
        found(2, **{"training.parallel.expert_ranks": 2})
