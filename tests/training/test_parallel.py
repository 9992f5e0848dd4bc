"""What ranks cannot share is refused before anything is split; tests/ranks has the splits."""

import pytest

from chiasm.errors import UserError
from chiasm.ranks import ALONE, Ranks
from chiasm.training.parallel import refuse_misfit
from chiasm.training.settings import ParallelSettings

MOE = {"experts": "moe", "moe": {"num_experts": 6}, "feedforward_width": 64}


@pytest.mark.parametrize(
    ("model", "settings", "message"),
    [
        ({}, {"shard_ranks": 3}, "shard_ranks = 3 does not divide the 4 ranks"),
        (MOE, {"expert_ranks": 3}, "expert_ranks = 3 does not divide the 4 ranks"),
        (MOE, {"expert_ranks": 4}, "expert_ranks = 4 does not divide the 6 routed experts"),
        ({}, {"expert_ranks": 2}, "expert_ranks = 2 needs routed experts, and the model has none"),
        ({}, {"shard_ranks": 2}, ""),
        (MOE, {"expert_ranks": 2}, ""),
    ],
)
def test_degrees_that_do_not_fit(naive, model: dict, settings: dict, message: str) -> None:
    decoder, asked = naive.decoder(**model), ParallelSettings(**settings)
    refuse_misfit(decoder, ALONE, asked)  # one process has all to itself
    several = Ranks()
    several.size = 4
    if message:
        with pytest.raises(UserError, match=message):
            refuse_misfit(decoder, several, asked)
    else:
        refuse_misfit(decoder, several, asked)
