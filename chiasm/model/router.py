"""How a position chooses its experts, and what is told of the choices.

Scores are computed in float32 whatever the model computes in: experts are chosen by their order,
and near ties would else be decided by rounding.

Shape suffixes: M positions, D width, R routed experts, K routed experts of a position; X
modalities, text first.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chiasm.batch.streams import TEXT
from chiasm.model.settings import MoeSettings
from chiasm.roles import Role


class RouterOutput(NamedTuple):
    """What one block's router chose for M positions."""

    expert_MK: Tensor
    """int64: the chosen experts, the best first."""
    weight_MK: Tensor
    """float32: their weights."""
    prob_MR: Tensor
    """float32: all experts' scores, as shares of 1."""
    logit_M: Tensor
    """float32: log of the sum of the logits' exponentials."""

    def balance_loss(self, filled_M: Tensor, load_R: Tensor, count: Tensor) -> Tensor:
        """R · Σ_e f_e Σ_m p_me over filled positions: f_e is the share of all assignments that
        expert e got, p_me its score; 1 on the average of positions when both are even
        (arXiv 2101.03961, equation 4, times the positions).

        ``filled_M``: bool, the positions that are not padding. ``load_R`` and ``count``:
        assignments and positions that f is taken over, which may be more than these.
        """
        sum_R = (self.prob_MR * filled_M.unsqueeze(1)).sum(dim=0)
        share_R = load_R / (count.clamp_min(1) * self.expert_MK.shape[1])
        return self.prob_MR.shape[1] * (share_R * sum_R).sum()

    def z_loss(self, filled_M: Tensor) -> Tensor:
        """Sum over filled positions of squares of ``logit_M``, whose mean keeps logits small
        (arXiv 2202.08906, equation 5)."""
        return (self.logit_M.square() * filled_M).sum()

    def load(self, modality_M: Tensor, num_modalities: int) -> Tensor:
        """int64 [X, R]: assignments of each modality's positions that each expert got."""
        num_experts = self.prob_MR.shape[1]
        place_MK = modality_M.unsqueeze(1) * num_experts + self.expert_MK
        load = place_MK.new_zeros((TEXT + num_modalities) * num_experts)
        load.index_add_(0, place_MK.flatten(), torch.ones_like(place_MK).flatten())
        return load.view(-1, num_experts)[TEXT:]


class Router(nn.Module):
    """Scores of R experts for every position, the K best, and their weights.

    ``expert_bias_R`` is added to scores where experts are chosen, and nowhere else: it moves load
    between experts without touching the loss (arXiv 2408.15664).
    """

    expert_bias_R: Tensor

    roles: ClassVar = {"weight": Role.MATRIX}

    def __init__(self, settings: MoeSettings, width: int, num_routed: int) -> None:
        super().__init__()
        self.settings = settings
        self.weight = nn.Parameter(torch.empty(num_routed, width))
        self.register_buffer("expert_bias_R", torch.zeros(num_routed))

    def forward(self, x_MD: Tensor) -> RouterOutput:
        """Positions [M, D] to their choices."""
        logits_MR = F.linear(x_MD.float(), self.weight.float())
        softmax = self.settings.score == "softmax"
        score_MR = logits_MR.softmax(dim=-1) if softmax else logits_MR.sigmoid()
        preferred_MR = score_MR.detach() + self.expert_bias_R
        expert_MK = preferred_MR.topk(self.settings.routed_choices, dim=-1).indices
        weight_MK = score_MR.gather(1, expert_MK)
        if self.settings.weights == "normalized":
            weight_MK = weight_MK / weight_MK.sum(dim=-1, keepdim=True)
        prob_MR = score_MR if softmax else score_MR / score_MR.sum(dim=-1, keepdim=True)
        return RouterOutput(expert_MK, weight_MK, prob_MR, logits_MR.logsumexp(dim=-1))

    @torch.no_grad()
    def update_expert_bias(self, load_R: Tensor, rate: float) -> None:
        """Make experts that got less than the mean more likely, the others less, by ``rate``."""
        load_R = load_R.to(self.expert_bias_R.dtype)
        self.expert_bias_R += rate * (load_R.mean() - load_R).sign()
        self.expert_bias_R -= self.expert_bias_R.mean()

    def flops(self, rows: int) -> int:
        """Of the forward pass over ``rows`` rows."""
        return 2 * rows * self.weight.numel()
