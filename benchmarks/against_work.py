"""The work of one commit for against.py, in a process that is asked turn by turn.

Started with the checkout first on PYTHONPATH; what a process sets for itself when the command line
begins is set here too. It answers once when it is warm, and then each line of stdin, in JSON. The
folder of benchmarks is the checkout's own as well, so that its models are built as it builds them.

Of the library these names have to be in both commits: ``load_recipe``, ``train_run`` with
``on_step``, the step report's ``values["tokens"]``, and the command line's verbs; of the
benchmarks ``equal_rows``, ``our_step``, ``peer_step`` and ``experts.Model``.

    python benchmarks/against_work.py WORK ARGUMENTS
"""

from __future__ import annotations

import importlib.util
import json
import os
import runpy
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

ANSWERS = os.fdopen(os.dup(1), "w")

RULES = {"8/2": "8 experts, 2 chosen", "64/8": "64 experts, 8 chosen"} | {
    "256/16": "256 experts, 16 chosen"
}
"""Mixtures as targets call them → as benchmarks/experts.py does."""

PEER_DEPTH, MIXTURE_DEPTH = 5, 4
"""Blocks, as the benchmarks have them by default."""

PRODUCTS = 4
"""In a turn: the fastest is nearest to the machine's peak."""


def answer(found: dict[str, Any]) -> None:
    """Tell what the last turn gave."""
    print(json.dumps(found), file=ANSWERS, flush=True)


def asked() -> dict[str, Any]:
    """What the next turn is to do; the process ends where nobody asks any more."""
    line = sys.stdin.readline()
    if not line:
        os._exit(0)
    return json.loads(line)


class Turns:
    """Told each step of a training, it ends a turn after a step and waits for the next one.

    Processor time is that of all threads since the last turn ended, so that what is read ahead
    while this process waits counts; wall time is that of the turn alone.
    """

    def __init__(self, warm_steps: int) -> None:
        self.wanted: dict[str, float] = {"steps": warm_steps}
        self.steps, self.tokens, self.processor = 0, 0, 0.0
        self.began = time.perf_counter()

    def __call__(self, report: Any) -> None:
        self.steps += 1
        wall = time.perf_counter() - self.began
        if self.steps < self.wanted.get("steps", 0) or wall < self.wanted.get("seconds", 0):
            return
        processor, tokens = time.process_time(), report.values["tokens"]
        answer(
            {
                "steps": self.steps,
                "positions": tokens - self.tokens,
                "processor_seconds": processor - self.processor,
                "wall_seconds": wall,
            }
        )
        self.processor, self.tokens = processor, tokens
        self.wanted = asked()
        self.steps, self.began = 0, time.perf_counter()


def train(arguments: dict[str, Any]) -> None:
    """A training run as the command line has it."""
    from chiasm.assembly import train_run
    from chiasm.recipe import load_recipe

    recipe = load_recipe(Path(arguments["recipe"]), arguments["settings"])
    train_run(
        recipe,
        Path(arguments["run"]),
        tell=lambda line: print(line, file=sys.stderr),
        on_step=Turns(arguments["warm_steps"]),
    )


def beside_peer(arguments: dict[str, Any]) -> None:
    """A step on rows of equal length, the peer's, and large products; processor seconds."""
    import torch
    import train_step
    import workloads

    width = arguments["width"]
    workload = workloads.equal_rows(0, train_step.CHANNELS)
    ours, flops = train_step.our_step(width, PEER_DEPTH, 0, workload)
    peer = None
    if importlib.util.find_spec("transfusion_pytorch"):
        peer = train_step.peer_step(width, PEER_DEPTH, 0, workload)[0]
    a, b = torch.randn(2, train_step.PEAK_SIDE, train_step.PEAK_SIDE).unbind()

    def turn() -> dict[str, float]:
        own = _seconds(ours)
        product = min(_seconds(lambda: a @ b) for _ in range(PRODUCTS))
        found = {"flops": flops / own, "peak_flops": 2 * train_step.PEAK_SIDE**3 / product}
        return found | ({"of_peer": _seconds(peer) / own} if peer else {})

    _in_turns(turn)


def mixtures(arguments: dict[str, Any]) -> None:
    """Steps of mixtures of experts, over a step of the dense model of equal active FLOPs."""
    import experts
    import torch
    import workloads

    torch.manual_seed(0)
    workload = workloads.equal_rows(0, experts.CHANNELS)
    names = {"dense": "dense"} | RULES
    models = {
        short: experts.Model(experts.RULES[name], arguments["width"], MIXTURE_DEPTH, workload)
        for short, name in names.items()
    }

    def turn() -> dict[str, float]:
        seconds = {name: _seconds(model.step) for name, model in models.items()}
        return {name: seconds[name] / seconds["dense"] for name in RULES}

    _in_turns(turn)


def memory(arguments: dict[str, Any]) -> None:
    """Most bytes that a step holds at once, over those before its model was made.

    The second step: the first one makes the optimizer's moments. Text and pictures as in the other
    benchmarks, in more rows and with a larger vocabulary.
    """
    import train_step
    import workloads

    for module in (train_step, workloads):
        module.VOCABULARY = arguments["vocabulary"]
    workloads.ROWS = arguments["rows"]
    workload = workloads.equal_rows(0, train_step.CHANNELS)
    before = _resident_bytes("VmRSS")
    step, _ = train_step.our_step(arguments["width"], PEER_DEPTH, 0, workload)
    step()
    answer({"positions": workload.batch.ids_BT.numel()})
    asked()
    Path("/proc/self/clear_refs").write_text("5")  # the highest so far is forgotten
    step()
    answer({"bytes": _resident_bytes("VmHWM") - before})
    asked()


def _in_turns(turn: Callable[[], dict[str, float]]) -> None:
    answer(turn())
    while asked() is not None:
        answer(turn())


def _seconds(work: Callable[[], object]) -> float:
    """Processor seconds of all threads."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def _resident_bytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024


def as_started(work: Callable[[], None]) -> None:
    """Do what ``python -m chiasm`` does before it reads its command line, and then ``work``."""
    command_line = ModuleType("chiasm.cli")

    def main() -> None:
        del sys.modules["chiasm.cli"]
        work()

    command_line.main = main  # type: ignore[attr-defined]
    sys.modules["chiasm.cli"] = command_line
    runpy.run_module("chiasm", run_name="__main__")


def main() -> None:
    """Do the work that the command line names."""
    works = {work.__name__: work for work in (train, beside_peer, mixtures, memory)}
    work, arguments = works[sys.argv[1]], json.loads(sys.argv[2])
    root = Path(arguments["root"])
    os.dup2(2, 1)  # what else is printed is no answer
    sys.path[0] = str(root / "benchmarks")
    found = Path(importlib.util.find_spec("chiasm").origin)  # type: ignore[union-attr,arg-type]
    if root not in found.parents:
        raise SystemExit(f"chiasm would be imported from {found}, not from {root}")
    as_started(lambda: work(arguments))


if __name__ == "__main__":
    main()
