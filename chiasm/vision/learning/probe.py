"""A linear probe: what can be read off frozen features by one matrix.

Shape suffixes: N examples, F features, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional


def linear_probe(
    features_NF: Tensor, answers: Sequence[str], *, penalty: float = 1e-3
) -> Callable[[Tensor], list[str]]:
    """Multinomial logistic regression on standardised features.

    Minimises cross-entropy + penalty / 2 * |W|^2 by L-BFGS from zero: deterministic. Returns what
    gives the likeliest answer for each row of other features.
    """
    values = sorted(set(answers))
    class_N = torch.tensor([values.index(answer) for answer in answers])
    mean_F, scale_F = features_NF.mean(dim=0), features_NF.std(dim=0).clamp(min=1e-6)
    scaled_NF = (features_NF - mean_F) / scale_F
    weight_FK = torch.zeros(features_NF.shape[1], len(values), requires_grad=True)
    bias_K = torch.zeros(len(values), requires_grad=True)
    optimiser = torch.optim.LBFGS([weight_FK, bias_K], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        entropy = functional.cross_entropy(scaled_NF @ weight_FK + bias_K, class_N)
        total = entropy + penalty / 2 * weight_FK.square().sum()
        total.backward()
        return total

    @torch.no_grad()
    def likeliest(features_NF: Tensor) -> list[str]:
        logits_NK = (features_NF - mean_F) / scale_F @ weight_FK + bias_K
        return [values[k] for k in logits_NK.argmax(dim=1)]

    with torch.enable_grad():
        optimiser.step(loss)
    return likeliest
