import pytest
import torch

from chiasm.model.elementwise import rotate
from chiasm.model.layers import RotaryTable
from chiasm.model.mask import IntervalMask
from chiasm.model.settings import ModelSettings


def test_scores_depend_on_the_distance_alone():
    table = RotaryTable(8, base=10_000.0)
    q, k = torch.randn(8), torch.randn(8)

    def score(query_position: int, key_position: int) -> torch.Tensor:
        turn = table(torch.tensor([[query_position, key_position]]))
        rotated = rotate(torch.stack((q, k)).view(1, 2, 1, 8), turn)[0, :, 0]
        return rotated[0] @ rotated[1]

    torch.testing.assert_close(score(5, 2), score(105, 102), atol=1e-4, rtol=1e-4)
    assert abs(float(score(5, 2) - score(5, 3))) > 1e-4


@torch.no_grad()
def test_query_key_norm_takes_the_size_out_of_the_scores():
    outputs = {}
    for qk_norm in (True, False):
        settings = ModelSettings(width=16, query_heads=2, key_value_heads=1, qk_norm=qk_norm)
        attention = settings.attention.build(settings, modalities=None)
        for parameter in attention.parameters():
            parameter.copy_(torch.randn(parameter.shape))
        x, turn = torch.randn(1, 6, 16), RotaryTable(8, base=100.0)(torch.arange(6)[None])
        mask = IntervalMask(torch.zeros(1, 6).long(), torch.full((1, 6), 5), 6)
        before = attention(x, turn, mask)
        attention.qkv.weight[:24] *= 3  # queries and keys, not values
        outputs[qk_norm] = (before, attention(x, turn, mask))
    torch.testing.assert_close(*outputs[True], atol=1e-4, rtol=1e-4)
    assert not torch.allclose(*outputs[False], atol=1e-2)


def test_heads_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="query_heads = 6 is not a multiple of"):
        ModelSettings(query_heads=6, key_value_heads=4)
    with pytest.raises(ValueError, match="width = 100 does not divide into query_heads = 6"):
        ModelSettings(width=100)
    with pytest.raises(ValueError, match=r"head_width = 9 .* is odd"):
        ModelSettings(head_width=9)
