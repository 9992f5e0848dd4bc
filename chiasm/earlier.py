"""Names of settings in earlier versions and in other libraries, for messages about unknown ones."""

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
    "streams.image.layer": "layers",
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


ELSEWHERE = {
    **dict.fromkeys(("lr", "max_lr", "peak_lr"), "learning_rate"),
    **dict.fromkeys(
        ("num_layers", "num_layer", "n_layers", "n_layer", "num_hidden_layers"), "depth"
    ),
    **dict.fromkeys(("d_model", "n_embd", "hidden_size", "dim", "embed_dim"), "width"),
    **dict.fromkeys(("num_heads", "n_heads", "n_head", "num_attention_heads"), "query_heads"),
    **dict.fromkeys(("num_key_value_heads", "n_kv_heads", "num_kv_heads"), "key_value_heads"),
    **dict.fromkeys(("head_dim", "head_size"), "head_width"),
    **dict.fromkeys(("intermediate_size", "d_ff", "ffn_dim"), "feedforward_width"),
    **dict.fromkeys(("vocab_size", "vocabulary_size"), "vocabulary_tokens"),
    **dict.fromkeys(("n_experts", "num_local_experts"), "num_experts"),
    "num_experts_per_tok": "top_k",
    **dict.fromkeys(("seq_len", "seq_length", "block_size", "max_seq_len"), "sequence_length"),
    **dict.fromkeys(("global_batch_size", "micro_batch_size"), "batch_size"),
    **dict.fromkeys(("grad_clip", "clip_grad", "clip_grad_norm"), "max_grad_norm"),
    **dict.fromkeys(("max_steps", "max_iters", "num_train_steps"), "steps"),
    **dict.fromkeys(("warmup", "warmup_iters", "num_warmup_steps"), "warmup_steps"),
    "eps": "epsilon",
    **dict.fromkeys(("num_inference_steps", "num_sampling_steps"), "steps"),
    **dict.fromkeys(("guidance_scale", "cfg", "cfg_scale"), "guidance"),
    "autoguidance": "inner_guidance",
    **dict.fromkeys(("max_new_tokens", "max_length"), "max_tokens"),
    **dict.fromkeys(("top_p", "min_p", "dropout"), ""),
}
"""Last part of a name in other libraries → in this one; empty: there is no such thing here."""


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
