"""atlas.json: every number of the atlas, for programs.

Lists go by block and, inside a block, by routed expert; their order is that of ``blocks``.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from chiasm.evaluation.atlas.atlas import SPREADS, Atlas
from chiasm.evaluation.atlas.pairs import Pairs
from chiasm.evaluation.atlas.specialisation import CLASSES, Specialisation
from chiasm.evaluation.atlas.spread import Spread
from chiasm.evaluation.atlas.tasks import Tasks
from chiasm.intervals import LEVEL, Interval


def atlas_record(atlas: Atlas, command: str, versions: dict[str, Any]) -> dict[str, Any]:
    """The whole of atlas.json; what is not finite is null, and so is a section that is missing."""
    special, tasks = atlas.specialisation, atlas.tasks
    return {
        "settings": atlas.settings.model_dump(mode="json"),
        "interval_level": LEVEL,
        "moe": atlas.model.moe.model_dump(mode="json"),
        "blocks": list(atlas.blocks),
        "routed_experts": atlas.routed_experts,
        "routed_choices": atlas.model.moe.routed_choices,
        "documents": atlas.documents,
        "documents_holding": atlas.holding,
        "clusters": atlas.clusters,
        "positions": atlas.positions,
        "load": list(atlas.loads),
        "dead_experts": [list(each) for each in atlas.dead],
        "specialisation": None if special is None else _specialisation(special),
        "understanding_and_generation": None if tasks is None else _tasks(tasks),
        "variation": {SPREADS[name]: _spread(each) for name, each in atlas.spreads.items()},
        "chosen_together": [_pairs(each, atlas) for each in atlas.pairs],
        "skipped": atlas.skipped,
        "seconds": atlas.seconds,
        "command": command,
        "versions": versions,
    }


def plain(values: np.ndarray) -> Any:
    """Nested lists of numbers; what is not finite becomes null, as JSON needs it."""
    told = values.astype(object)
    told[~np.isfinite(values)] = None
    return told.tolist()


def _specialisation(special: Specialisation) -> dict[str, Any]:
    return {
        "rate_text": plain(special.text_QR),
        "rate_vision": plain(special.vision_QR),
        "s": plain(special.value_QR),
        "classes": list(CLASSES),
        "count": plain(special.count_Q3),
        "share": _interval(special.share_Q3),
        "resamples_left_out": special.left_out,
        "unused": plain(special.unused_Q),
        "count_by_cutoff": [
            {"cutoff": cutoff, "count": plain(count_Q3)}
            for cutoff, count_Q3 in special.count_by_cutoff.items()
        ],
    }


def _tasks(tasks: Tasks) -> dict[str, Any]:
    return {
        "correlation": _interval(tasks.between),
        "correlation_with_text": plain(tasks.with_text_Q),
        "correlation_of_halves": plain(tasks.halves_Q),
        "correlation_by_flow_time": [
            {"flow_time": time, "correlation": plain(own_Q)}
            for time, own_Q in zip(tasks.times, tasks.by_time_GQ, strict=True)
        ],
        "rate_read": plain(tasks.read_QR),
        "rate_drawn": plain(tasks.drawn_QR),
        "documents": {str(task): number for task, number in tasks.documents.items()},
    }


def _spread(spread: Spread) -> dict[str, Any]:
    return {
        "groups": list(spread.groups),
        "coefficient_of_variation": plain(spread.value_Q),
        "chance_multinomial": plain(spread.multinomial_Q),
        "chance_multinomial_high": plain(spread.multinomial_high_Q),
        "chance_shuffled": plain(spread.shuffled_Q),
        "chance_shuffled_high": plain(spread.shuffled_high_Q),
        "verdict": list(spread.verdicts),
        "rate": plain(spread.rate_GQR),
    }


def _pairs(pairs: Pairs, atlas: Atlas) -> dict[str, Any]:
    return {**asdict(pairs), "block": atlas.blocks[pairs.block]}


def _interval(interval: Interval) -> dict[str, Any]:
    return {
        "value": plain(interval.value),
        "low": plain(interval.low),
        "high": plain(interval.high),
    }
