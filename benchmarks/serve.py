"""What the demo's page gives to 1, 4 and 16 users of a trained run, over HTTP on this machine.

- ``start``: from the command to the page's first answer;
- for each number of users, each with one request behind the other: requests per second, the time to
  the first text or sketch, and to the end;
- ``together``: 16 requests at once against the same ones after each other, the median of rounds;
- ``stops``: the time between two tokens of one who writes while others draw, and how much of it is
  theirs, in solver steps of those drawings (in this process, without HTTP).

On a machine that does other things, processor time tells more than the wall: it stands beside it,
the server's for requests, its thread's for stops (with OMP_NUM_THREADS=1 that is all of it).

    python benchmarks/serve.py runs/quickstart [--requests 4] [--record]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import urlopen

from record import write_record

from chiasm.documents import Text
from chiasm.inference.canvas import Canvas
from chiasm.inference.continuation import Continuation
from chiasm.inference.continuous import ContinuousBatch
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import Request, SamplingSettings
from chiasm.inference.sampler import Sampler

USERS = (1, 4, 16)
TOGETHER = 16
ROUNDS = 9
TOKENS = 64
ALONE = 20
"""Tokens that are written before others draw."""
CAPTION = "a bright room with brick walls, grass on the floor and sky above."
TASKS: dict[str, dict[str, Any]] = {
    "write": {"prompt": "story:", "max_tokens": TOKENS},
    "draw": {"words": CAPTION},
}
"""What users ask for; all else is as the page has it, 25 steps with guidance."""


class Served(NamedTuple):
    """A page that is served."""

    url: str
    start_seconds: float
    """From the command to its first answer."""
    process: int

    def processor_seconds(self) -> float:
        """What the server has used until now."""
        stat = Path(f"/proc/{self.process}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def served(run: str) -> Iterator[Served]:
    """The page of a run."""
    began = time.perf_counter()
    command = [sys.executable, "-u", "-m", "chiasm", "demo", run, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None
        with urlopen(found[0] + "about") as reply:
            reply.read()
        yield Served(found[0], time.perf_counter() - began, process.pid)
        process.terminate()


def ask(url: str, task: str, seed: int) -> dict[str, float]:
    """Seconds from a request to its first text or picture, and to its end; its text pieces."""
    connection = HTTPConnection(urlsplit(url).netloc)
    began, told = time.perf_counter(), dict[str, float]()
    body = json.dumps(TASKS[task] | {"seed": seed})
    connection.request("POST", f"/tasks/{task}", body, {"Content-Type": "application/json"})
    reply = connection.getresponse()
    assert reply.status == 200, reply.read()
    while line := reply.readline():
        if not line.startswith(b"data: "):
            continue
        event = json.loads(line.removeprefix(b"data: "))
        seconds = time.perf_counter() - began
        if event["kind"] == "text" or "picture" in event:
            told.setdefault("first", seconds)
        told["end"] = seconds
    connection.close()
    return told


def users(page: Served, task: str, count: int, requests: int) -> dict[str, float]:
    """What so many users see, each with its requests behind each other."""
    found: list[dict[str, float]] = []

    def use(user: int) -> None:
        for number in range(requests):
            found.append(ask(page.url, task, user * requests + number))

    threads = [threading.Thread(target=use, args=(user,)) for user in range(count)]
    began, used = time.perf_counter(), page.processor_seconds()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    used = page.processor_seconds() - used
    firsts = sorted(each.get("first", each["end"]) for each in found)
    return {
        "requests_per_second": len(found) / seconds,
        "requests_per_processor_second": len(found) / used,
        "first_seconds": median(firsts),
        "first_seconds_longest": firsts[-1],
        "end_seconds": median(each["end"] for each in found),
    }


def together(page: Served, task: str) -> dict[str, float]:
    """The throughput of requests at once, as a multiple of that of one after another.

    Both ways in turn, over and over: one round of a second or two tells mostly what else the
    machine did.
    """
    found: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        one_by_one, at_once = users(page, task, 1, TOGETHER), users(page, task, TOGETHER, 1)
        for name in ("requests_per_second", "requests_per_processor_second"):
            found.setdefault(name, []).append(at_once[name] / one_by_one[name])
    told = {name: median(values) for name, values in found.items()}
    for name, values in found.items():
        told |= {f"{name}_least": min(values), f"{name}_most": max(values)}
    return told


def stops(model: Pretrained, drawings: int) -> dict[str, float]:
    """How long one who writes waits for a token while others draw, in solver steps of theirs."""
    velocities: list[float] = []
    velocity = Canvas.velocity

    def timed(self: Canvas, *given: Any) -> Any:
        began = time.thread_time()
        result = velocity(self, *given)
        velocities.append(time.thread_time() - began)
        return result

    batch = ContinuousBatch(model, drawings + 1, lambda event: None)
    writes = SamplingSettings(max_tokens=10_000, max_items=0, temperature=1)
    draws = SamplingSettings(max_tokens=0)
    caption = (Text(f"picture: {CAPTION}"),)
    waits: list[float] = []
    alone: list[float] = []
    writer = join(batch, model, 0, Request((Text("story:"),)), writes)
    batch.step()
    for _ in range(ALONE):
        began = time.thread_time()
        batch.step()
        alone.append(time.thread_time() - began)
    Canvas.velocity = timed  # type: ignore[method-assign]
    try:
        drawn = [
            join(batch, model, number, Request(caption, number, opens=True), draws, watched=True)
            for number in range(1, drawings + 1)
        ]
        while not all(each.ended for each in drawn):
            if writer.ended:
                writer = join(batch, model, 0, Request((Text("story:"),), len(waits)), writes)
            began = time.thread_time()
            batch.step()
            waits.append(time.thread_time() - began)
    finally:
        Canvas.velocity = velocity  # type: ignore[method-assign]
    step, token = median(velocities), median(alone)
    waits.sort()
    late = waits[int(0.95 * len(waits))]
    return {
        "solver_step_seconds": step,
        "token_seconds_alone": token,
        "token_seconds": median(waits),
        "token_seconds_95th_of_100": late,
        "stop_solver_steps": (median(waits) - token) / step,
        "stop_solver_steps_95th_of_100": (late - token) / step,
        "stop_solver_steps_longest": (waits[-1] - token) / step,
    }


def join(
    batch: ContinuousBatch,
    model: Pretrained,
    number: int,
    request: Request,
    settings: SamplingSettings,
    *,
    watched: bool = False,
) -> Continuation:
    """Lets a request join the batch."""
    [prompt] = Sampler(model).prompts([request], settings)
    return batch.join(number, request, settings, prompt, watched=watched)


def main() -> None:
    """Prints all figures, and keeps them if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--requests", type=int, default=4, help="of each user")
    parser.add_argument("--record", action="store_true")
    given = parser.parse_args()
    figures: dict[str, Any] = {"run": Path(given.run).name}
    with served(given.run) as page:
        figures["start_seconds"] = page.start_seconds
        figures["start_processor_seconds"] = page.processor_seconds()
        for task in TASKS:
            users(page, task, TOGETHER, 1)  # not measured: the first passes allocate
            figures[task] = {count: users(page, task, count, given.requests) for count in USERS}
            figures[f"{task}_together"] = together(page, task)
    model = Pretrained.load(given.run)
    stops(model, 2)
    figures["stops"] = {count: stops(model, count) for count in (1, 4, 15)}
    show(figures)
    if given.record:
        write_record("serve", figures)


def show(figures: Mapping[str, Any], name: str = "") -> None:
    """Prints figures, one a line."""
    for key, value in figures.items():
        if isinstance(value, Mapping):
            show(value, f"{name}{key} ")
        else:
            print(f"{name}{key}: {value if isinstance(value, str) else format(value, '.4g')}")


if __name__ == "__main__":
    main()
