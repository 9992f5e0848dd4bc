"""Rows of against.py that are whole commands: studies and the evaluation of a run.

What they render is rendered before, and so is whatever else a first command leaves in the cache.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from against_figures import SETTINGS, Figures, Measure, isoflop_dense, recipe, shape, short
from against_pair import Checkout, Pair, Unable, commands_in_turn

EVALUATED = ("training.steps=100", "world.train_maps=16")
"""Of the run that is evaluated; on the recipe's held-out maps."""

SLOTS = os.cpu_count() or 1
"""One for each core, so that each run has one thread."""

SEEDS = 4 * SLOTS
"""So that four of them train together in each slot."""
SEED_STEPS = 200
"""Steps of each seed's run; what a run of one step costs is taken off."""

CHEAPEST = 5
"""First cells of isoflop-dense, those of the lowest budget; with two seeds ten runs."""


def seeds(width: int) -> Measure:
    """Studies of one cell with several seeds, without what it costs to start."""

    def measure(pair: Pair, rounds: int, share: float) -> tuple[dict[str, Figures], Any]:
        costs = []
        for number in range(rounds + 2):  # the first one renders, the second is what a start costs
            steps = 1 if number < 2 else SEED_STEPS

            def command(checkout: Checkout, number: int = number, steps: int = steps) -> list[str]:
                own = short(shape(checkout, width) | SETTINGS, steps)
                cells = [{"name": f"w{width}", "set": own}]
                study = _study(checkout, recipe(checkout), range(SEEDS), {}, cells)
                return _run_study(checkout, study, f"seeds-{width}-{number}")

            costs.append(commands_in_turn(pair, command, threads=None))
        given, unable = _given(costs[1:])
        both = {
            name: [SEEDS * (SEED_STEPS - 1) / max(cost - own[0], 1e-9) for cost in own[1:]]
            for name, own in given.items()
        }
        start = {name: own[:1] for name, own in given.items()}
        return {f"seeds-{width}": Figures(both["old"], both["new"], unable)}, start

    return measure


def isoflop(pair: Pair, rounds: int, share: float) -> tuple[dict[str, Figures], Any]:
    """Once: ten runs of some minutes are their own rounds."""

    def study(steps: Callable[[int], int], name: str) -> Callable[[Checkout], list[str]]:
        def command(checkout: Checkout) -> list[str]:
            whole = isoflop_dense(checkout)
            cells = [
                {"name": own["name"], "set": short(own["set"], steps(own["set"]["training.steps"]))}
                for own in whole["cells"][:CHEAPEST]
            ]
            base = str(checkout.root / "recipes" / "studies" / whole["recipe"])
            file = _study(checkout, base, whole["seeds"], whole["set"], cells)
            return _run_study(checkout, file, name)

        return command

    before = commands_in_turn(pair, study(lambda steps: 1, "isoflop-start"), threads=None)
    whole = commands_in_turn(
        pair, study(lambda steps: max(1, round(steps * share)), "isoflop"), threads=None
    )
    given, unable = _given([whole])
    start = {name: cost for name, cost in before.items() if not isinstance(cost, Unable)}
    kept = {"share_of_steps": share, "rendering_and_a_step_of_each": start}
    return {"isoflop": Figures(given["old"], given["new"], unable)}, kept


def _study(
    checkout: Checkout,
    base: str,
    seeds: Sequence[int],
    every: Mapping[str, Any],
    cells: Sequence[Mapping[str, Any]],
) -> Path:
    """A study file that takes its losses from the last validation."""
    lines = [
        'name = "against"',
        'question = "What does it cost?"',
        f"recipe = {json.dumps(base)}",
    ]
    lines += [f"seeds = {list(seeds)}", "[set]", *_toml(every)]
    lines += ["[[metrics]]", 'name = "loss_text"', 'validation = "text_loss"']
    for own in cells:
        lines += ["[[cells]]", f"name = {json.dumps(own['name'])}", "[cells.set]"]
        lines += _toml(own["set"])
    path = checkout.folder / "against.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def _toml(settings: Mapping[str, Any]) -> Iterator[str]:
    return (f'"{name}" = {json.dumps(value)}' for name, value in settings.items())


def _run_study(checkout: Checkout, study: Path, out: str) -> list[str]:
    return ["study", "run", str(study), "--slots", str(SLOTS), "--out", str(checkout.folder / out)]


def _given(
    costs: Sequence[Mapping[str, float | Unable]],
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Each commit's costs, none where one of them was not to be had; and why."""
    both: dict[str, list[float]] = {}
    unable = {}
    for name in ("old", "new"):
        own = [cost[name] for cost in costs]
        both[name] = [cost for cost in own if not isinstance(cost, Unable)]
        if len(both[name]) < len(own):
            both[name] = []
            unable[name] = str(next(cost for cost in own if isinstance(cost, Unable)))
    return both, unable


def evaluation(pair: Pair, rounds: int, share: float) -> tuple[dict[str, Figures], Any]:
    def train(checkout: Checkout) -> list[str]:
        settings = [word for each in EVALUATED for word in ("--set", each)]
        return ["train", recipe(checkout), "--out", "evaluated", *settings]

    trained = commands_in_turn(pair, train)
    costs = [
        trained,
        *(
            commands_in_turn(pair, lambda checkout: ["evaluate", "evaluated"])
            for _ in range(rounds)
        ),
    ]
    given, unable = _given(costs)
    return {"evaluation": Figures(given["old"][1:], given["new"][1:], unable)}, None
