"""What the demo's page gives to 1, 4 and 16 users of a trained run, over HTTP on this machine.

- ``start``: from the command to the page's first answer;
- for each number of users, each with one request behind the other: requests and tokens per second,
  the time to the first text or to the finished picture;
- ``together``: 16 requests at once against the same ones after each other;
- ``stops``: the longest time without a token for one who writes while others draw, in times of one
  solver step of those drawings (in this process, without HTTP).

    python benchmarks/serve.py runs/quickstart [--requests 4] [--record]
"""

from __future__ import annotations

import argparse
import json
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
from typing import Any
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
TOKENS = 64
CAPTION = "a bright room with brick walls, grass on the floor and sky above."
TASKS: dict[str, dict[str, Any]] = {
    "write": {"prompt": "story:", "max_tokens": TOKENS},
    "draw": {"words": CAPTION},
}
"""What users ask for; all else is as the page has it, 25 steps with guidance."""


@contextmanager
def served(run: str) -> Iterator[tuple[str, float]]:
    """The address of the page of a run, and the seconds from the command to its first answer."""
    began = time.perf_counter()
    command = [sys.executable, "-u", "-m", "chiasm", "demo", run, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None
        with urlopen(found[0] + "about") as reply:
            reply.read()
        yield found[0], time.perf_counter() - began
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


def users(url: str, task: str, count: int, requests: int) -> dict[str, float]:
    """What so many users see, each with its requests behind each other."""
    found: list[dict[str, float]] = []

    def use(user: int) -> None:
        for number in range(requests):
            found.append(ask(url, task, user * requests + number))

    threads = [threading.Thread(target=use, args=(user,)) for user in range(count)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    firsts = sorted(each.get("first", each["end"]) for each in found)
    return {
        "requests_per_second": len(found) / seconds,
        "first_seconds": median(firsts),
        "first_seconds_longest": firsts[-1],
        "end_seconds": median(each["end"] for each in found),
    }


def together(url: str, task: str) -> dict[str, float]:
    """The throughput of requests at once, as a multiple of that of one after another."""
    after_each_other = users(url, task, 1, TOGETHER)["requests_per_second"]
    at_once = users(url, task, TOGETHER, 1)["requests_per_second"]
    return {
        "one_after_another": after_each_other,
        "at_once": at_once,
        "times": at_once / after_each_other,
    }


def stops(model: Pretrained, drawings: int) -> dict[str, float]:
    """How long one who writes waits for a token while others draw, in solver steps of theirs."""
    velocities: list[float] = []
    velocity = Canvas.velocity

    def timed(self: Canvas, *given: Any) -> Any:
        began = time.perf_counter()
        result = velocity(self, *given)
        velocities.append(time.perf_counter() - began)
        return result

    batch = ContinuousBatch(model, drawings + 1, lambda event: None)
    writes = SamplingSettings(max_tokens=10_000, max_items=0, temperature=1)
    draws = SamplingSettings(max_tokens=0)
    caption = (Text(f"picture: {CAPTION}"),)
    waits = []
    writer = join(batch, model, 0, Request((Text("story:"),)), writes)
    batch.step()
    Canvas.velocity = timed  # type: ignore[method-assign]
    try:
        drawn = [
            join(batch, model, number, Request(caption, number, opens=True), draws, watched=True)
            for number in range(1, drawings + 1)
        ]
        while not all(each.ended for each in drawn):
            if writer.ended:
                writer = join(batch, model, 0, Request((Text("story:"),), len(waits)), writes)
            began = time.perf_counter()
            batch.step()
            waits.append(time.perf_counter() - began)
    finally:
        Canvas.velocity = velocity  # type: ignore[method-assign]
    step = median(velocities)
    return {
        "solver_step_seconds": step,
        "wait_seconds": median(waits),
        "longest_wait_seconds": max(waits),
        "longest_wait_solver_steps": max(waits) / step,
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
    with served(given.run) as (url, seconds):
        figures["start_seconds"] = seconds
        for task in TASKS:
            users(url, task, TOGETHER, 1)  # not measured: the first passes allocate
            figures[task] = {count: users(url, task, count, given.requests) for count in USERS}
            figures[f"{task}_together"] = together(url, task)
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
