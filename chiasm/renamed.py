"""Names of settings in earlier versions: a recipe that still has one is told the new one."""

from __future__ import annotations

SETTINGS = {
    "stream.row_positions": "sequence_length",
    "stream.rows_per_batch": "batch_size",
    "stream.condition_drop": "condition_dropout",
    "model.rope_base": "rope_theta",
    "model.image_positions": "item_positions",
    "model.image_grid_limit": "item_grid_limit",
    "model.moe.shared": "shared_experts",
    "objective.balance_weight": "load_balance_weight",
    "training.batches_per_step": "gradient_accumulation_steps",
    "training.clip_norm": "max_grad_norm",
    "training.balance_rate": "router_bias_rate",
    "training.optimiser": "optimizer",
    "training.schedule.floor": "min_lr_ratio",
    "evaluation.judge": "reference_encoder",
    "evaluation.rows_per_batch": "batch_size",
}
"""Dotted name of before → its last part now."""

VALUES = {
    ("model.experts", "shared"): "dense",
    ("model.moe.weights", "normalised"): "normalized",
}
"""(Setting, value of before) → the value now."""


def name_now(name: str) -> str | None:
    """Returns the name now of a setting of before; None for any other."""
    last = SETTINGS.get(name)
    return None if last is None else f"{name.rpartition('.')[0]}.{last}"


def value_now(name: str, value: object) -> str | None:
    """Returns what a value of before is called now; None for any other."""
    return VALUES.get((name, value)) if isinstance(value, str) else None
