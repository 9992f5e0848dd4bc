"""atlas.json: every number of the atlas, for programs.

Lists go by block and, inside a block, by routed expert; their order is that of ``blocks``.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from chiasm.evaluation.atlas.atlas import SPREADS, Atlas
from chiasm.evaluation.atlas.specialisation import CLASSES, Specialisation
from chiasm.evaluation.atlas.spread import Spread
from chiasm.evaluation.atlas.tasks import Tasks
from chiasm.intervals import LEVEL


def atlas_record(atlas: Atlas, command: str, versions: dict[str, Any]) -> dict[str, Any]:
    """Returns the content of atlas.json; a missing section is null."""
    return {
        "settings": atlas.settings,
        "interval_level": LEVEL,
        "moe": atlas.model.moe,
        "blocks": atlas.blocks,
        "routed_experts": atlas.routed_experts,
        "routed_choices": atlas.model.moe.routed_choices,
        "documents": atlas.documents,
        "documents_holding": atlas.holding,
        "clusters": atlas.clusters,
        "positions": atlas.positions,
        "load": atlas.loads,
        "dead_experts": atlas.dead,
        "specialisation": atlas.specialisation and _specialisation(atlas.specialisation),
        "understanding_and_generation": atlas.tasks and _tasks(atlas.tasks),
        "variation": {SPREADS[name]: _spread(each) for name, each in atlas.spreads.items()},
        "chosen_together": [
            {**asdict(each), "block": atlas.blocks[each.block]} for each in atlas.pairs
        ],
        "skipped": atlas.skipped,
        "seconds": atlas.seconds,
        "command": command,
        "versions": versions,
    }


def _specialisation(special: Specialisation) -> dict[str, Any]:
    return {
        "rate_text": special.text_QR,
        "rate_vision": special.vision_QR,
        "s": special.value_QR,
        "classes": CLASSES,
        "count": special.count_Q3,
        "share": special.share_Q3,
        "resamples_left_out": special.left_out,
        "unused": special.unused_Q,
        "count_by_cutoff": [
            {"cutoff": cutoff, "count": count_Q3}
            for cutoff, count_Q3 in special.count_by_cutoff.items()
        ],
    }


def _tasks(tasks: Tasks) -> dict[str, Any]:
    return {
        "correlation": tasks.between,
        "correlation_with_text": tasks.with_text_Q,
        "correlation_of_halves": tasks.halves_Q,
        "correlation_by_flow_time": [
            {"flow_time": time, "correlation": own_Q}
            for time, own_Q in zip(tasks.times, tasks.by_time_GQ, strict=True)
        ],
        "rate_read": tasks.read_QR,
        "rate_drawn": tasks.drawn_QR,
        "documents": {str(task): number for task, number in tasks.documents.items()},
    }


def _spread(spread: Spread) -> dict[str, Any]:
    return {
        "groups": spread.groups,
        "coefficient_of_variation": spread.value_Q,
        "chance_multinomial": spread.multinomial_Q,
        "chance_multinomial_high": spread.multinomial_high_Q,
        "chance_shuffled": spread.shuffled_Q,
        "chance_shuffled_high": spread.shuffled_high_Q,
        "verdict": spread.verdicts,
        "rate": spread.rate_GQR,
    }
