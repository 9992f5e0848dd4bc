"""paper.json: the findings with their verdicts, for programs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from chiasm.paper.agreement import RULES
from chiasm.paper.findings import Findings, results_of
from chiasm.paper.judge import JudgedFinding, JudgedNumber
from chiasm.paper.results import Result, scale


def commands_of(findings: Findings, judged: JudgedFinding) -> list[str]:
    """What measures a finding again, line by line."""
    return [
        command
        for name in results_of(judged.finding)
        for command in findings.results[name].commands
    ]


def paper_record(
    findings: Findings, judged: Sequence[JudgedFinding], kept: Mapping[str, Result]
) -> dict[str, Any]:
    """The whole of paper.json; null for what is not known."""
    return {
        "article": findings.article,
        "rules": RULES,
        "findings": [
            {
                **each.finding.model_dump(include={"id", "part", "claim", "waits"}),
                "agreement": str(each.agreement),
                "numbers": [_number_record(number) for number in each.numbers],
                "commands": commands_of(findings, each),
            }
            for each in judged
        ],
        "results": {
            name: {
                "scale": scale(result.cells),
                "commits": result.made_with("git_commit"),
                "machines": result.made_with("machine"),
                "seconds": sum(cell.seconds for cell in result.cells),
                "flags": list(result.flags),
                "commands": list(findings.results[name].commands)
                if name in findings.results
                else [],
            }
            for name, result in kept.items()
        },
    }


def _number_record(number: JudgedNumber) -> dict[str, Any]:
    return {
        "published": number.published.model_dump(exclude={"study", "laws"}),
        "agreement": None if number.published.follows else str(number.agreement),
        "measured": [
            {
                "result": each.result,
                "refit": each.is_refit,
                "quantity": each.quantity,
                "agreement": str(each.agreement),
                "by_method": {
                    method: [
                        value if math.isfinite(value) else None
                        for value in (found.value, found.low, found.high)
                    ]
                    for method, found in each.intervals.items()
                },
                "means": each.means,
                "unit": each.unit,
                "scale": each.scale,
                "note": each.note,
                "doubt": each.doubt,
            }
            for each in number.measurements
        ],
    }
