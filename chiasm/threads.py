"""Number of threads of torch's operations on CPU: measured, recorded, and repeated on a resume.

Threads of one operation wait for each other. Beside other programs the slowest of them is the one
that was last given a core, so that more threads can be slower than one; how much slower depends on
the machine, the model and what else runs, which is why the number is measured.

The last digits of sums depend on the number, so it is part of the result: each number is recorded
with the step from which it holds, and a resumed run uses the recorded numbers at the recorded
steps. A resumed run thus equals an uninterrupted one, bit for bit, even if the number changed.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch

from chiasm.errors import UserError
from chiasm.whole import write_json

ROUNDS = 3
"""Fewest rounds of measuring; each has one rehearsal of every number that is not hopeless."""

MEASURING_SECONDS = 3.0
"""Least time of all rounds: beside other programs a few rehearsals are noisy."""

WORTH = 1.2
"""Least speed-up for which the number is changed: a smaller one may be chance."""

TIE = 1.05
"""Slow-down up to which fewer threads are preferred: they leave cores to others."""

HOPELESS = 3.0
"""Slow-down relative to the best number beyond which one is not rehearsed again."""

WINDOW_STEPS = 10
"""Steps of a window, whose mean time is compared with that of the best window before."""

DROP = 2.0
"""Slow-down of a window relative to the best one that causes a new measurement."""

REST = 25.0
"""Least training time between measurements, as a multiple of the last one's duration."""

_AT_IMPORT = torch.get_num_threads()


class Change(NamedTuple):
    """A change of the number of threads."""

    step: int
    """Steps done before the change."""
    threads: int


def given_threads() -> int | None:
    """Returns the number of threads that the user has set; None if there is none.

    It is set by OMP_NUM_THREADS or MKL_NUM_THREADS, or by ``torch.set_num_threads`` since this
    module was imported.
    """
    now = torch.get_num_threads()
    named = os.environ.get("OMP_NUM_THREADS") or os.environ.get("MKL_NUM_THREADS")
    return now if named or now != _AT_IMPORT else None


@contextmanager
def threads_set(number: int) -> Iterator[None]:
    """So many threads for the operations of the calling thread; before and after, as they were."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Threads:
    """Sets the number of threads while a loop of steps runs.

    Args:
        record: JSON file of the changes; None: they are not recorded.
        rehearse: function that is timed: most of the work of a step, without side effects.
        given: number that the user has set, which is never changed; None: measured.
        limit: most threads to try; None: torch's present number.
        tell: callback for one line about each change.
        clock: function that returns the time in seconds.
    """

    def __init__(
        self,
        record: Path | None,
        rehearse: Callable[[], object],
        *,
        given: int | None,
        limit: int | None = None,
        tell: Callable[[str], None] = print,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.record = record
        self.rehearse = rehearse
        self.given = given
        self.limit = limit or torch.get_num_threads()
        self.tell = tell
        self.clock = clock
        self._changes: list[Change] = []
        self._to_come: list[Change] = []
        self._window: list[float] = []
        self._best_seconds = math.inf
        self._rests_until = -math.inf

    @contextmanager
    def in_use(self, step: int) -> Iterator[None]:
        """Sets the number of threads for a loop that has done ``step`` steps.

        On exit torch's number of threads is restored.

        Raises:
            UserError: the record is damaged.
        """
        with threads_set(torch.get_num_threads()):
            self._begin(step)
            yield

    def after_step(self, step: int, seconds: float) -> None:
        """Changes the number at recorded steps, or after a measurement that the speed calls for.

        Args:
            step: number of steps done.
            seconds: time of the last step.
        """
        if self._to_come:
            if self._to_come[0].step == step:
                self._change(self._to_come.pop(0))
            return
        if self.given is not None or self.limit == 1:
            return
        self._window.append(seconds)
        if len(self._window) == WINDOW_STEPS:
            self._look_back(step, sum(self._window) / WINDOW_STEPS)
            self._window.clear()

    def _begin(self, step: int) -> None:
        recorded = self._read()
        self._changes = [change for change in recorded if change.step <= step]
        self._to_come = [change for change in recorded if change.step > step]
        last = self._changes[-1].threads if self._changes else None
        to_come = [change.threads for change in self._to_come]
        if self.given is None and last is not None and max(last, *to_come, 0) <= self.limit:
            torch.set_num_threads(last)
            return
        if self._to_come:  # recorded changes that this run will not repeat
            self._to_come = []
            self._write()
        if self.given is None:
            self._change(Change(step, self._fastest(step, last)))
            return
        if last not in (None, self.given):
            self.tell(
                f"{last} threads up to step {step}, from here on {self.given}, as the environment "
                "or torch.set_num_threads says: it goes on, but its last digits may differ from "
                "those of an uninterrupted run"
            )
        self._change(Change(step, self.given))

    def _look_back(self, step: int, seconds: float) -> None:
        now = torch.get_num_threads()
        dropped = seconds > DROP * self._best_seconds
        self._best_seconds = min(self._best_seconds, seconds)
        if (dropped or now < self.limit) and self.clock() >= self._rests_until:
            self._change(Change(step, self._fastest(step, now)))
            self._best_seconds = math.inf

    def _fastest(self, step: int, now: int | None) -> int:
        """Returns ``now``, or a number that is clearly faster; a change is reported."""
        if self.limit == 1:
            return 1
        begin = self.clock()
        seconds = {number: median(times) for number, times in self._measure().items()}
        self._rests_until = self.clock() + REST * (self.clock() - begin)
        least = min(seconds.values())
        if now in seconds and seconds[now] <= WORTH * least:
            return now
        best = min(number for number, taken in seconds.items() if taken <= TIE * least)
        if best != (now or self.limit):
            figures = ", ".join(f"{taken:.3f} s with {number}" for number, taken in seconds.items())
            self.tell(
                f"threads: {best} instead of {now or self.limit} from step {step} on; forward and "
                f"backward take {figures}. OMP_NUM_THREADS fixes the number"
            )
        return best

    def _measure(self) -> dict[int, list[float]]:
        """Returns seconds of each rehearsal by number of threads: 1, 2, 4, … and the limit."""
        numbers = [1 << power for power in range((self.limit - 1).bit_length())] + [self.limit]
        seconds: dict[int, list[float]] = {number: [] for number in numbers}
        torch.set_num_threads(1)
        self.rehearse()  # not timed: the first one also allocates and reads
        begin, rounds = self.clock(), 0
        while rounds < ROUNDS or self.clock() - begin < MEASURING_SECONDS:
            rounds += 1
            for number in numbers:
                torch.set_num_threads(number)
                began = self.clock()
                self.rehearse()
                seconds[number].append(self.clock() - began)
            best = min(min(times) for times in seconds.values())
            numbers = [n for n in numbers if min(seconds[n]) <= HOPELESS * best]
        return seconds

    def _change(self, change: Change) -> None:
        """Sets the number, and records it if it is a change."""
        if not self._changes or self._changes[-1].threads != change.threads:
            self._changes.append(change)
            self._write()
        torch.set_num_threads(change.threads)

    def _read(self) -> list[Change]:
        if self.record is None or not self.record.exists():
            return []
        try:
            return [Change(**line) for line in json.loads(self.record.read_text())]
        except (ValueError, TypeError) as error:
            raise UserError(
                f"{self.record} is damaged ({error}); delete it, and the number of threads is "
                "measured again: the last digits may then differ"
            ) from error

    def _write(self) -> None:
        if self.record is None:
            return
        write_json(self.record, [each._asdict() for each in [*self._changes, *self._to_come]])
