"""Kinds of optimizers: their settings, AdamW and Muon; a recipe names one by ``kind``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from chiasm.registry import Registry
from chiasm.settings import Settings

if TYPE_CHECKING:
    from torch.optim import Optimizer


class OptimizerSettings(Settings):
    """One kind of optimizer, which builds it."""

    kind: str
    learning_rate: float = Field(1.5e-3, gt=0)
    """Peak learning rate; the schedule scales it."""
    weight_decay: float = Field(0.1, ge=0)
    """Decay of matrices; other parameters have none."""

    def build(self, groups: list[dict[str, Any]]) -> Optimizer:
        """Returns the optimizer of :func:`chiasm.loop.groups.parameter_groups`."""
        raise self.error("kind", f"has no build() in {type(self).__name__}", "define it")


OPTIMIZERS = Registry[OptimizerSettings]("optimizer", default="adamw")


@OPTIMIZERS.register
class AdamWSettings(OptimizerSettings):
    """AdamW (Loshchilov & Hutter, arXiv:1711.05101): its decay is times the learning rate."""

    kind: Literal["adamw"] = "adamw"
    beta1: float = Field(0.9, ge=0, lt=1)
    """Decay of the mean of gradients."""
    beta2: float = Field(0.95, ge=0, lt=1)
    """Decay of the mean of squared gradients."""
    epsilon: float = Field(1e-8, gt=0)
    """Added to the root of the mean of squared gradients."""

    def build(self, groups: list[dict[str, Any]], steps_taken: int = 1) -> Optimizer:
        """Returns AdamW, with moments at zero.

        Its correction for young moments begins after ``steps_taken``: torch's `get_state_dict` once
        made them by an empty step, and numbers stay. Fused takes a quarter of `foreach`'s CPU time.
        """
        import torch

        betas = self.beta1, self.beta2
        optimizer = torch.optim.AdamW(groups, self.learning_rate, betas, self.epsilon, fused=True)
        for parameter in (each for group in groups for each in group["params"]):
            optimizer.state[parameter] = {
                "step": torch.tensor(float(steps_taken), device=parameter.device),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
        return optimizer


@OPTIMIZERS.register
class MuonSettings(AdamWSettings):
    """Muon for matrices between hidden vectors, AdamW for embeddings, heads, routers and gains;
    both take the learning rate of AdamW (:mod:`chiasm.loop.muon`)."""

    kind: Literal["muon"] = "muon"  # type: ignore[assignment]
    momentum: float = Field(0.95, ge=0, lt=1)
    """Decay of the sum of gradients that is orthogonalized."""

    def build(self, groups: list[dict[str, Any]], steps_taken: int = 0) -> Optimizer:
        """Returns Muon, with momentum and moments at zero."""
        from chiasm.loop.muon import Muon

        others = partial(super().build, steps_taken=steps_taken)
        return Muon(groups, self.learning_rate, self.momentum, others)
