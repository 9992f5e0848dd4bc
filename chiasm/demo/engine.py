"""One thread that runs a model for all that ask, and the queue before it.

Jobs begin in the order in which they came, as soon as the batch has a row for their first request;
their requests join and leave it between its steps
(:class:`~chiasm.inference.continuous.ContinuousBatch`). Nothing else runs the model.
"""

from __future__ import annotations

import sys
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from itertools import count
from queue import Empty, SimpleQueue
from threading import Condition, Thread

from chiasm.documents import Span
from chiasm.errors import UserError
from chiasm.inference.continuation import Continuation
from chiasm.inference.continuous import ContinuousBatch, Sketched
from chiasm.inference.passage import Passage
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import Ended, Event, Request, SamplingSettings
from chiasm.inference.sampler import Sampler
from chiasm.loopback.replies import Refused

ROWS = 16
"""Requests that run at once."""
MOST_WAITING = 64
"""Jobs that wait; a further one is refused."""
ENDED = "The server has ended: chiasm demo no longer runs; start it again and reload the page."


@dataclass(frozen=True)
class Waits:
    """A job's place in the queue."""

    ahead: int
    """Jobs that begin before it."""


@dataclass(frozen=True)
class Begun:
    """The job's first request has joined the batch."""


@dataclass(frozen=True)
class Failed:
    """The end of a job that cannot go on."""

    why: str


@dataclass(frozen=True)
class Over:
    """The end of a job whose requests have all ended."""


JobEvent = Waits | Begun | Event | Sketched | Failed | Over
"""What is told of a job; ``request`` is a request's place in it."""


class Job:
    """Requests that run beside each other, and what is told of them."""

    def __init__(
        self,
        requests: Sequence[Request],
        settings: SamplingSettings,
        prompts: Sequence[Passage],
        *,
        watched: bool,
    ) -> None:
        self.settings, self.watched = settings, watched
        self.made: list[Continuation] = []
        """What follows each request that has joined."""
        self.cancelled = False
        self.left = len(requests)
        """Requests that have not ended."""
        self._pending = deque(zip(requests, prompts, strict=True))
        self._events: SimpleQueue[JobEvent] = SimpleQueue()
        self._ahead: int | None = None

    @property
    def is_pending(self) -> bool:
        """Whether not all of its requests have joined."""
        return bool(self._pending)

    def events(self, patience_seconds: float) -> Iterator[JobEvent | None]:
        """Yields what is told, to its end; None after so much time without anything."""
        while True:
            try:
                event = self._events.get(timeout=patience_seconds)
            except Empty:
                yield None
                continue
            yield event
            if isinstance(event, Failed | Over):
                return

    def cancel(self) -> None:
        """Lets it end with the engine's next step, wherever it is; it is told nothing more."""
        self.cancelled = True

    def tell(self, event: JobEvent) -> None:
        """Of the engine: tells an event."""
        self._events.put(event)

    def wait_behind(self, ahead: int) -> None:
        """Of the engine: tells its place, where it has changed."""
        if ahead != self._ahead and not self.made:
            self._ahead = ahead
            self.tell(Waits(ahead))

    def join(self, batch: ContinuousBatch, number: int) -> None:
        """Of the engine: lets its next request join the batch under a number."""
        if not self.made:
            self.tell(Begun())
        request, prompt = self._pending.popleft()
        watched, settings = self.watched, self.settings
        self.made.append(batch.join(number, request, settings, prompt, watched=watched))


class Engine:
    """Runs a model for all that ask; a context manager that ends its thread.

    Args:
        pretrained: the model; nothing else may run it meanwhile.
        rows: requests that run at once.
    """

    def __init__(self, pretrained: Pretrained, rows: int = ROWS) -> None:
        self.pretrained = pretrained
        self._sampler, self._rows = Sampler(pretrained), rows
        self._changed = Condition()
        self._waiting: deque[Job] = deque()
        self._running: dict[int, tuple[Job, int]] = {}
        self._numbers, self._closed = count(), False
        self._batch = self._new_batch()
        self._thread = Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the thread; jobs that wait or run fail."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def submit(
        self, requests: Sequence[Request], settings: SamplingSettings, *, watched: bool = False
    ) -> Job:
        """Puts requests into the queue as one job.

        Args:
            requests: at least one, with items that are read already: pixels and samples.
            settings: of them all.
            watched: whether items are told on their way.

        Raises:
            UserError: as of :meth:`Sampler.generate`.
            Refused: too many wait.
        """
        job = Job(requests, settings, self._sampler.prompts(requests, settings), watched=watched)
        with self._changed:
            if self._closed:
                raise Refused(ENDED, HTTPStatus.SERVICE_UNAVAILABLE)
            self._drop_cancelled()
            if len(self._waiting) >= MOST_WAITING:
                raise Refused(
                    f"{MOST_WAITING} others wait, and no more may; try again in a while",
                    HTTPStatus.SERVICE_UNAVAILABLE,
                )
            self._waiting.append(job)
            self._tell_places()
            self._changed.notify()
        return job

    def generate(
        self, requests: Sequence[Request], settings: SamplingSettings | None = None
    ) -> list[list[Span]]:
        """Returns what follows each request's spans, as :meth:`Sampler.generate`.

        Raises:
            UserError: as of :meth:`submit`; the engine failed.
        """
        job = self.submit(requests, settings or SamplingSettings())
        for event in job.events(patience_seconds=60):
            if isinstance(event, Failed):
                raise UserError(event.why)
        return [each.spans for each in job.made]

    def _run(self) -> None:
        while self._admit():
            try:
                self._batch.step()
            except Exception as error:
                traceback.print_exc(file=sys.stderr)
                self._fail(f"the model failed: {error}")
        self._fail(ENDED)

    def _admit(self) -> bool:
        """Waits for something to do, and lets requests join; returns whether it goes on."""
        with self._changed:
            while not (self._waiting or self._running or self._closed):
                self._changed.wait()
            self._drop_cancelled()
            for number in [n for n, (job, _) in self._running.items() if job.cancelled]:
                del self._running[number]
                self._batch.leave(number)
            before = len(self._waiting)
            while self._waiting and self._batch.free:
                job, number = self._waiting[0], next(self._numbers)
                self._running[number] = job, len(job.made)
                job.join(self._batch, number)
                if not job.is_pending:
                    self._waiting.popleft()
            if len(self._waiting) != before:
                self._tell_places()
            return not self._closed

    def _drop_cancelled(self) -> None:
        if any(job.cancelled for job in self._waiting):
            self._waiting = deque(job for job in self._waiting if not job.cancelled)
            self._tell_places()

    def _tell_places(self) -> None:
        for ahead, job in enumerate(self._waiting):
            job.wait_behind(ahead)

    def _tell(self, event: Event | Sketched) -> None:
        job, place = self._running[event.request]
        job.tell(replace(event, request=place))
        if isinstance(event, Ended):
            del self._running[event.request]
            job.left -= 1
            if not job.left:
                job.tell(Over())

    def _fail(self, why: str) -> None:
        """Ends everything that runs, and begins with an empty batch."""
        with self._changed:
            failed = {job for job, _ in self._running.values()}
            if self._closed:
                failed |= set(self._waiting)
            self._waiting = deque(job for job in self._waiting if job not in failed)
        for job in failed:
            job.tell(Failed(why))
        self._running.clear()
        self._batch = self._new_batch()

    def _new_batch(self) -> ContinuousBatch:
        return ContinuousBatch(self.pretrained, self._rows, self._tell)
