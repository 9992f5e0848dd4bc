"""One commit against another: the targets of speed and memory, as ratios measured in turn.

Both commits are checked out aside, each with a cache of its own, and do the work of each row in
turn, window by window, so that a machine that slows down slows both. Figures are medians over the
rounds, and a ratio is the median of the rounds' ratios. Times are processor time of all threads of
a process, with one thread of torch, except where a row says wall. The packages are those of the
Python that runs this; transfusion-pytorch is measured where it is installed.

Prints a line for each figure and last one line of JSON. Exits with 1 where a target is missed or
could not be measured. All rows take an hour or two; rows are chosen by the beginning of their
names; --share shortens isoflop-dense, whose figure is then mostly what a run costs to start.

    python benchmarks/against.py [OLD] [NEW] [--rows quickstart,cell] [--rounds 5] [--share 1.0]
                                 [--record REMARK]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Mapping
from statistics import median
from typing import Any

from against_figures import Figures
from against_pair import checkouts
from against_rows import ROWS, Target
from record import write_record

OLD, NEW = "e3280df", "HEAD"

HEAD = f"{'':<40} {'old':>10} {'new':>10} {'ratio':>7} {'target':>8}"


def judged(target: Target, figures: Figures) -> dict[str, Any]:
    """A figure of both commits, its ratio, and whether the target is met."""
    old, new = (median(own) if own else None for own in (figures.old, figures.new))
    ratios = [b / a for a, b in zip(figures.old, figures.new, strict=False)]
    ratio = median(ratios) if ratios else None
    measured = ratio if target.of_old else new
    result: dict[str, Any] = {
        "old": old,
        "new": new,
        "unit": target.unit,
        "ratio": ratio,
        "target": target.bound,
        "of": "the ratio" if target.of_old else "the new one",
        "ratios_of_rounds": [round(each, 3) for each in ratios],
        "met": None,
    }
    if measured is not None:
        met = measured >= target.bound if target.at_least else measured <= target.bound
        result["met"] = met
    if figures.unable:
        result["unable"] = dict(figures.unable)
    return result


def told(what: str, target: Target, result: Mapping[str, Any]) -> str:
    """One line of the table."""
    bound = f"{'≥' if target.at_least else '≤'} {target.bound:g}{'x' if target.of_old else ''}"
    ratio = "-" if result["ratio"] is None else f"{result['ratio']:.3f}"
    verdict = {True: "met", False: "MISSED", None: "NOT MEASURED"}[result["met"]]
    reasons = [f"{name}: {why}" for name, why in result.get("unable", {}).items()]
    figures = f"{_short(result['old']):>10} {_short(result['new']):>10} {ratio:>7} {bound:>8}"
    return f"{what:<40} {figures}  {'; '.join([verdict, *reasons])}  [{target.unit}]"


def _short(figure: float | None) -> str:
    if figure is None:
        return "-"
    if figure >= 1e6:
        return f"{figure / 1e6:,.0f} M"
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"


def chosen(names: str) -> list[str]:
    """Rows whose names begin with one of those that are asked for."""
    asked = names.split(",")
    for name in asked:
        if not any(row.startswith(name) for row in ROWS):
            raise SystemExit(f"--rows {name}: there are {', '.join(ROWS)}")
    return [row for row in ROWS if any(row.startswith(name) for name in asked)]


def main() -> None:
    """Measure, print, and exit with what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", nargs="?", default=OLD, help="a commit")
    parser.add_argument("new", nargs="?", default=NEW, help="a commit")
    parser.add_argument("--rows", default=",".join(ROWS), help=", ".join(ROWS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--share", type=float, default=1.0, help="of the steps of isoflop-dense")
    parser.add_argument("--record", metavar="REMARK", help="write benchmarks/records/against.json")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # tidies up
    results: dict[str, dict[str, Any]] = {}
    notes: dict[str, Any] = {}
    with checkouts(arguments.old, arguments.new) as pair:
        commits = {checkout.name: checkout.commit for checkout in pair}
        print(f"old {commits['old'][:12]}, new {commits['new'][:12]}\n{HEAD}", flush=True)
        for name in chosen(arguments.rows):
            row = ROWS[name]
            found, kept = row.measure(pair, arguments.rounds, arguments.share)
            notes[name] = {"load": os.getloadavg()[0], "before": kept}
            for figure, target in row.targets.items():
                results[figure] = judged(target, found[figure])
                print(told(target.what, target, results[figure]), flush=True)
    if arguments.record:
        figures = {"remark": arguments.record, "commits": commits, "rounds": arguments.rounds}
        write_record("against", figures | {"rows": results, "notes": notes})
    summary = {
        **commits,
        "ratios": {name: _rounded(result["ratio"]) for name, result in results.items()},
        "figures": {name: _rounded(result["new"]) for name, result in results.items()},
        "missed": [name for name, result in results.items() if result["met"] is False],
        "not_measured": [name for name, result in results.items() if result["met"] is None],
    }
    print(json.dumps(summary))
    sys.exit(bool(summary["missed"] or summary["not_measured"]))


def _rounded(figure: float | None) -> float | None:
    return None if figure is None else float(f"{figure:.4g}")


if __name__ == "__main__":
    main()
