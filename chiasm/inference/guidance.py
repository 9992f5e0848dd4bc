"""Classifier-free guidance (Ho and Salimans 2022), as training drops the condition.

In training a picture whose condition is dropped sees its own ``<boi>`` and itself, at the rotary
positions that it has anyway. The unconditional branch here is the same: a row of 1 + P positions,
``<boi>`` and the picture, with no history.
"""

from __future__ import annotations

from torch import Tensor


def guided(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """v = v_unconditional + scale·(v_conditional - v_unconditional); scale 1 is no guidance.

    Both velocities and the result have one shape.
    """
    return unconditional + scale * (conditional - unconditional)
