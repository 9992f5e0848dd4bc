"""What a router chooses, and what is told of it."""

import math

import pytest
import torch

from chiasm.batch.streams import PADDING, TEXT
from chiasm.model.router import Router, RouterOutput
from chiasm.model.settings import MoeSettings

VISION, MOTION = 2, 3


def router(width: int = 6, **changes) -> Router:
    settings = MoeSettings(**{"num_experts": 8, "granularity": 3} | changes)
    made = Router(settings, width, settings.num_routed(2))
    torch.nn.init.normal_(made.weight)
    return made


@pytest.mark.parametrize("score", ["softmax", "sigmoid"])
@pytest.mark.parametrize("weights", ["normalized", "raw"])
def test_the_best_scores_win_and_are_the_weights(score, weights):
    own = router(score=score, weights=weights)
    x = torch.randn(11, 6)
    with torch.no_grad():
        choice = own(x)
    logits = (x @ own.weight.T).detach()
    scores = logits.softmax(-1) if score == "softmax" else logits.sigmoid()
    for row in range(11):
        best = sorted(range(8), key=lambda e: -float(scores[row, e]))[:3]
        assert choice.expert_MK[row].tolist() == best
        expected = scores[row, best]
        expected = expected / expected.sum() if weights == "normalized" else expected
        torch.testing.assert_close(choice.weight_MK[row], expected)
    torch.testing.assert_close(choice.prob_MR.sum(-1), torch.ones(11))
    torch.testing.assert_close(choice.logit_M, logits.exp().sum(-1).log())


def test_scores_are_float32_under_bfloat16():
    choice = router()(torch.randn(4, 6).bfloat16())
    assert choice.weight_MK.dtype == choice.prob_MR.dtype == torch.float32


@torch.no_grad()
def test_balance_moves_choices_and_not_weights():
    own = router(weights="raw")
    x, text = torch.randn(200, 6), torch.full((200,), TEXT)
    before = own(x)
    for _ in range(600):
        own.update_expert_bias(own(x).load(text, 2).sum(0), 0.001)
    after = own(x)
    spread, spread_before = (c.load(text, 2).sum(0).float().std() for c in (after, before))
    assert spread < 0.4 * spread_before
    torch.testing.assert_close(after.prob_MR, before.prob_MR)
    torch.testing.assert_close(after.weight_MK, before.prob_MR.gather(1, after.expert_MK))
    assert abs(float(own.expert_bias_R.mean())) < 1e-6


@torch.no_grad()
def test_losses_against_their_definitions():
    choice = router()(torch.randn(5, 6))
    filled = torch.tensor([True, True, False, True, True])
    rows = [0, 1, 3, 4]
    share = [sum(expert in choice.expert_MK[row] for row in rows) / (4 * 3) for expert in range(8)]
    mean = [sum(float(choice.prob_MR[row, expert]) for row in rows) / 4 for expert in range(8)]
    expected = 8 * sum(f * p for f, p in zip(share, mean, strict=True))
    assert mean_balance(choice, filled) == pytest.approx(expected, rel=1e-5)
    squares = [float(choice.logit_M[row]) ** 2 for row in rows]
    assert float(choice.z_loss(filled)) == pytest.approx(sum(squares), rel=1e-5)


@torch.no_grad()
def test_the_balance_loss_of_parts_adds_up():
    """Where the load is that of all parts, as for ranks."""
    whole = router()(torch.randn(9, 6))
    filled = torch.tensor([True, True, False, True, True, False, True, True, True])
    load_R, count = whole.load(filled.long(), 1)[0], filled.sum()
    parts = [
        RouterOutput(*(each[rows] for each in whole)).balance_loss(filled[rows], load_R, count)
        for rows in (slice(0, 4), slice(4, 9))
    ]
    torch.testing.assert_close(sum(parts), whole.balance_loss(filled, load_R, count))


def mean_balance(choice: RouterOutput, filled: torch.Tensor) -> float:
    count = filled.sum()
    loss = choice.balance_loss(filled, choice.load(filled.long(), 1)[0], count)
    return float(loss / count.clamp_min(1))


@torch.no_grad()
def test_even_use_costs_one_and_padding_nothing():
    own = router(num_experts=3, granularity=3)
    choice = own(torch.zeros(6, 6))
    assert mean_balance(choice, torch.ones(6, dtype=torch.bool)) == pytest.approx(1.0)
    assert mean_balance(choice, torch.zeros(6, dtype=torch.bool)) == 0
    assert float(choice.z_loss(torch.zeros(6, dtype=torch.bool))) == 0
    assert float(choice.logit_M[0]) == pytest.approx(math.log(3))


def test_load_is_told_by_modality():
    choice = router()(torch.randn(5, 6))
    load = choice.load(torch.tensor([TEXT, VISION, PADDING, MOTION, VISION]), 3)
    assert load.sum(1).tolist() == [3, 6, 3]
    for modality, row in ((0, 0), (2, 3)):
        chosen = load[modality].nonzero().flatten().tolist()
        assert chosen == sorted(choice.expert_MK[row].tolist())
    without = choice.load(torch.tensor([TEXT, VISION, PADDING, PADDING, VISION]), 3)
    assert without.sum(1).tolist() == [3, 6, 0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_experts": 4, "granularity": 8}, "leaves 4 to choose from"),
        (
            {"num_experts": 2, "shared_experts": "modality", "granularity": 2},
            "leaves 0 to choose from",
        ),
        (
            {"granularity": 1, "shared_experts": "global", "weights": "raw"},
            "takes the whole budget",
        ),
        ({"granularity": 1}, "granularity = 1 asks for 1 routed .* set weights = 'raw'"),
        (
            {"granularity": 2, "shared_experts": "modality"},
            "beside shared_experts = 'modality' asks for 1",
        ),
        (
            {"num_experts": 8, "top_k": 9},
            "top_k = 9 asks for 9 .* or lower top_k",
        ),
    ],
)
def test_impossible_mixtures_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        MoeSettings(**changes)
