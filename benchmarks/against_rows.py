"""The rows of against.py: what both commits do in turn, and what is asked of the new one.

The quickstart and the cells are runs of the quickstart's recipe on a few maps, as ``chiasm train``
starts them: by the time they are measured a picture has been read about as often before as in the
quickstart itself, so that what is kept of pictures helps as much as it does there. The shapes of
the cells are those of the study isoflop-dense, as each commit names its settings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from against_commands import evaluation, isoflop, seeds
from against_figures import SETTINGS, Figures, Measure, recipe, shape
from against_pair import Checkout, Found, Pair, in_turn
from busy import BUSY

WARM_STEPS = 60

VOCABULARY, MEMORY_ROWS = 128_256, 16


class Target(NamedTuple):
    """What is asked of one figure."""

    what: str
    unit: str
    bound: float
    at_least: bool
    of_old: bool
    """The bound is on the figure over the old commit's; otherwise on the figure itself."""


@dataclass(frozen=True)
class Row:
    """Work that gives the figures of some targets."""

    targets: Mapping[str, Target]
    measure: Measure


def figures(found: Found, value: Callable[[dict[str, float]], float], lacks: str = "") -> Figures:
    """``value`` of each round's answer; where it is not in them, a commit was unable: ``lacks``."""
    both, unable = [], dict(found.unable)
    for name in ("old", "new"):
        try:
            both.append([value(said) for said in getattr(found, name)])
        except KeyError:
            both.append([])
            unable[name] = lacks
    return Figures(both[0], both[1], unable)


def _training(width: int | None) -> Callable[[Checkout], dict[str, Any]]:
    """Arguments of a training; ``width`` is a cell's, without it the quickstart's model trains."""

    def arguments(checkout: Checkout) -> dict[str, Any]:
        own = (shape(checkout, width) if width else {}) | SETTINGS
        settings = [f"{name}={value}" for name, value in own.items()]
        return {"recipe": recipe(checkout), "settings": settings, "warm_steps": WARM_STEPS}

    return arguments


def _speed(said: dict[str, float]) -> float:
    return said["positions"] / said["processor_seconds"]


def _wall_speed(said: dict[str, float]) -> float:
    return said["positions"] / said["wall_seconds"]


def quickstart(pair: Pair, rounds: int, share: float) -> tuple[dict[str, Figures], Any]:
    found = in_turn(pair, "train", _training(None), {"steps": 16}, rounds)
    return {"quickstart": figures(found, _speed)}, found.warm


def two_cores(pair: Pair, rounds: int, share: float) -> tuple[dict[str, Figures], Any]:
    wanted = {"seconds": 8.0}
    found = in_turn(pair, "train", _training(None), wanted, rounds, threads=None)
    return {"two-cores": figures(found, _wall_speed)}, found.warm


def beside_busy(pair: Pair, rounds: int, share: float) -> tuple[dict[str, Figures], Any]:
    found = in_turn(
        pair,
        "train",
        _training(None),
        {"seconds": 10.0},
        rounds,
        threads=None,
        beside=BUSY,
        settle={"seconds": 20.0},  # until it is noticed that training has become slow
    )
    return {"busy": figures(found, _wall_speed)}, found.warm


def cell(width: int) -> Measure:
    def measure(pair: Pair, rounds: int, share: float) -> tuple[dict[str, Figures], Any]:
        found = in_turn(pair, "train", _training(width), {"steps": 24}, rounds)
        speed = figures(found, lambda said: said["steps"] / said["processor_seconds"])
        return {f"cell-{width}": speed}, found.warm

    return measure


def beside_peer(width: int) -> Measure:
    def measure(pair: Pair, rounds: int, share: float) -> tuple[dict[str, Figures], Any]:
        found = in_turn(pair, "beside_peer", lambda checkout: {"width": width}, {}, rounds)
        lacks = "transfusion-pytorch is not installed"
        both = {f"peer-{width}": figures(found, lambda said: said["of_peer"], lacks)}
        if width == 512:
            peak = max((said["peak_flops"] for said in (*found.old, *found.new)), default=0.0)
            both["peak-512"] = figures(found, lambda said: said["flops"] / peak)
            return both, {"peak_flops_per_second": peak}
        return both, None

    return measure


def mixtures(pair: Pair, rounds: int, share: float) -> tuple[dict[str, Figures], Any]:
    found = in_turn(pair, "mixtures", lambda checkout: {"width": 512}, {}, rounds)
    names = ("8/2", "64/8", "256/16")
    return {name: figures(found, lambda said, name=name: said[name]) for name in names}, None


def memory(pair: Pair, rounds: int, share: float) -> tuple[dict[str, Figures], Any]:
    """Once: it does not depend on the clock."""
    arguments = {"width": 512, "vocabulary": VOCABULARY, "rows": MEMORY_ROWS}
    found = in_turn(pair, "memory", lambda checkout: arguments, {}, 1)
    return {"memory": figures(found, lambda said: said["bytes"])}, found.warm


def _times(what: str, unit: str, bound: float) -> Target:
    return Target(what, unit, bound, at_least=True, of_old=True)


def _mixture(name: str, bound: float) -> dict[str, Target]:
    what = f"mixture {name} against dense step"
    return {name: Target(what, "times", bound, at_least=False, of_old=False)}


PROCESSOR, WALL = "positions/s of processor", "positions/s"
STEPS = "steps/s of processor"

ROWS = {
    "quickstart": Row(
        {"quickstart": _times("quickstart's training, one thread", PROCESSOR, 1.45)}, quickstart
    ),
    **{
        f"cell-{width}": Row(
            {f"cell-{width}": _times(f"one cell alone, width {width}", STEPS, bound)}, cell(width)
        )
        for width, bound in ((16, 2.4), (32, 2.1), (64, 1.7))
    },
    "two-cores": Row({"two-cores": _times("quickstart, wall, alone", WALL, 1.5)}, two_cores),
    "busy": Row({"busy": _times("quickstart, wall, beside three", WALL, 2.7)}, beside_busy),
    **{
        f"seeds-{width}": Row(
            {f"seeds-{width}": _times(f"four seeds together, width {width}", STEPS, bound)},
            seeds(width),
        )
        for width, bound in ((16, 3.6), (32, 2.6))
    },
    "isoflop": Row(
        {"isoflop": Target("isoflop-dense's cheapest ten", "s of processor", 0.4, False, True)},
        isoflop,
    ),
    "peer-192": Row(
        {"peer-192": Target("beside transfusion-pytorch, width 192", "times", 4.0, True, False)},
        beside_peer(192),
    ),
    "peer-512": Row(
        {
            "peer-512": Target("beside transfusion-pytorch, width 512", "times", 3.5, True, False),
            "peak-512": Target("share of matrix peak, width 512", "", 0.62, True, False),
        },
        beside_peer(512),
    ),
    "mixtures": Row(
        {**_mixture("8/2", 1.15), **_mixture("64/8", 1.3), **_mixture("256/16", 1.8)}, mixtures
    ),
    "evaluation": Row(
        {"evaluation": Target("evaluation of a run", "s of processor", 0.5, False, True)},
        evaluation,
    ),
    "memory": Row(
        {"memory": Target("peak of a step, large vocabulary", "bytes", 0.4, False, True)}, memory
    ),
}
