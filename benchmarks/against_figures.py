"""What a row of against.py gives, and what each commit has its run called and shaped."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from against_pair import Checkout, Pair

SETTINGS = {"training.steps": 100_000, "world.train_maps": 8, "world.held_out_maps": 4}
"""Of runs that are measured while they train: they do not end by themselves."""


class Figures(NamedTuple):
    """A figure of both commits, round by round; why there is none of one, by the commit's name."""

    old: Sequence[float]
    new: Sequence[float]
    unable: Mapping[str, str]


Measure = Callable[[Pair, int, float], tuple[dict[str, Figures], Any]]
"""From both commits, the number of rounds and the share of a study's steps: figures by the target's
name, and what else to keep in the record."""


def recipe(checkout: Checkout) -> str:
    """The quickstart's."""
    return str(checkout.root / "recipes" / "quickstart.toml")


def isoflop_dense(checkout: Checkout) -> dict[str, Any]:
    """The study's file."""
    path = checkout.root / "recipes" / "studies" / "isoflop-dense.toml"
    return tomllib.loads(path.read_text())


def shape(checkout: Checkout, width: int) -> dict[str, Any]:
    """Settings of that study's cell of a width."""
    cells = {cell["name"]: cell["set"] for cell in isoflop_dense(checkout)["cells"]}
    return cells[f"4e11-w{width}-d2"]


def short(settings: Mapping[str, Any], steps: int) -> dict[str, Any]:
    """The settings with another number of steps, and none to warm up, which may be more."""
    return {**settings, "training.steps": steps, "training.schedule.warmup_steps": 0}
