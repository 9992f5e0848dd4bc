"""Settings of earlier versions: what they are called now, or what is built in instead."""

from __future__ import annotations

import re
from collections.abc import Mapping

RENAMED = {
    "stream.row_positions": "sequence_length",
    "stream.rows_per_batch": "batch_size",
    "stream.condition_drop": "condition_dropout",
    "model.rope_base": "rope_theta",
    "model.image_positions": "item_positions",
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

RENAMED_VALUES = {
    ("model.experts", "shared"): "dense",
    ("model.moe.weights", "normalised"): "normalized",
}
"""(Setting, value of before) → the value now."""

BUILT_IN: Mapping[str, str] = {
    "actions.time_decimals": "as many decimals as tell the frames of time_unit_frames apart",
    "tokenizer.training_characters": "2000000 characters",
    "stream.prefetched_batches": "4 batches",
    "model.image_grid_limit": "tables are as large as the grids of the streams",
    "training.non_finite_limit": "10 steps",
    "training.validation_flow_times": "0.1, 0.3, 0.5, 0.7 and 0.9",
    "evaluation.flow_times": "0.1, 0.3, 0.5, 0.7 and 0.9",
    "evaluation.rollout_training_frames": "4000 frames",
    "planner.prior": "statistics of the run's training walks",
    "planner.inertia": "0.5, and 0 where iterations is 1",
    "planner.tie": "0.25 standard deviations",
    "contrastive.embedding": "128",
    "contrastive.text_width": "128",
    "contrastive.max_words": "48 words",
    "contrastive.vocabulary_words": "1024 words",
    "contrastive.noise": "0.3",
    "contrastive.contrast_weight": "0.5",
    "contrastive.words_weight": "1",
    "contrastive.facts_weight": "1",
    "contrastive.objects_weight": "4",
    "self_supervised.hidden_blocks": "3 rectangles",
    "self_supervised.predictor_width": "128",
    "self_supervised.predictor_blocks": "2 blocks",
    "self_supervised.prediction_weight": "1",
    "self_supervised.redundancy_weight": "0.1",
    "self_supervised.pixels_weight": "1",
    "adversarial.lead_steps": "100 steps",
    "reconstruction.ridge_pictures": "8192 pictures",
    "statistics_pictures": "20000 pictures",
    "render_processes": "one process for each processor",
    "metrics.unit": "what the number's origin says",
    **{
        f"trajectories.{name}": "the walks of kind 'freedoom' are recorded in metres and degrees"
        for name in (
            *("metres_per_unit", "largest_step_metres", "camera_axes", "world_axes"),
            *("quaternion_order", "pose", "yaw_unit", "time_tolerance_seconds"),
        )
    },
}
"""Last parts of a name of before → what is built in now."""


def name_now(name: str) -> str | None:
    """Returns the name now of a setting of before; None for any other."""
    last = RENAMED.get(name)
    return None if last is None else f"{name.rpartition('.')[0]}.{last}"


def value_now(name: str, value: object) -> str | None:
    """Returns what a value of before is called now; None for any other."""
    return RENAMED_VALUES.get((name, value)) if isinstance(value, str) else None


def built_in(name: str) -> str:
    """Returns what is built in instead of a setting of before; empty for any other."""
    name = re.sub(r"\.\d+\.", ".", f".{name}")  # of one of a list
    return next((what for old, what in BUILT_IN.items() if name.endswith(f".{old}")), "")
