"""The loop that trains decoders and the stages of tokenizers: a step is :meth:`Loop.step`.

Choices:

- The horizon is a number of steps, never a time: a run is a function of its settings.
- A step whose gradients are not finite is skipped and counted; too many in a row end the run.
- The saved state is the module, the optimizers, a few counters and the position in the data. Random
  numbers are keyed by what they are drawn for.
- Several ranks take each step together, decide together whether it counts and when to stop, and
  save one state; files and messages are the first rank's.
- On CPU algorithms are deterministic and the number of threads is recorded, so that a resumed run
  equals an uninterrupted one, bit for bit.
"""

from __future__ import annotations

import math
import os
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import nn

from chiasm.device import deterministic_on_cpu, keep_freed_memory, return_freed_memory, synchronise
from chiasm.errors import OtherRankError, UserError
from chiasm.loop.checkpoint import Checkpoints
from chiasm.loop.clipping import clip_grad_norm
from chiasm.loop.metrics import MetricsLog, NoLog, Values
from chiasm.loop.progress import Progress, StepReport
from chiasm.loop.schedule import learning_rate
from chiasm.loop.settings import LoopSettings
from chiasm.loop.spikes import asks_for_rollback, is_spike, refuse_repeated_failure
from chiasm.loop.state import Stream, TrainingState
from chiasm.loop.trace import Trace
from chiasm.loop.tracker import Tracker
from chiasm.ranks import ALONE, Ranks
from chiasm.stop import Stopped, StopRequest
from chiasm.threads import Threads, given_threads

Found = TypeVar("Found")
"""Result of a step's backward pass, read by the rest of the step."""


class Ahead(NamedTuple, Generic[Found]):
    """A step's backward pass that was made before the step."""

    found: Found
    seconds: float
    """The step's share of the time that it took."""


class Loop(ABC, Generic[Found]):
    """Trains ``module`` in place; nothing is written before :meth:`run`.

    What a step draws must be a function of the step and of the position of ``stream``.

    Args:
        module: module on its device; everything that training changes is a parameter or a buffer.
        optimizers: optimizers by the metric name of the gradient norm of their parameters, which
            are clipped together: two networks trained against each other have two.
        remedy: advice to the user about gradients that are not finite.
        compiled: whether parts of the module are compiled, for torch's present number of threads.
        stream: data of the steps, unless it is a function of the step alone.
        ranks: the ranks that train the module together.
    """

    name = ""
    """Name in messages, as in "step 7 of 10 of NAME"; empty for the decoder."""
    identity = ""
    """Hash of everything that determines the numbers: other checkpoints are refused."""
    kept_steps: frozenset[int] = frozenset()
    """Steps after which a checkpoint is made and stays, beside those of the settings."""
    about: Mapping[str, Any] = {}
    """What a tracker shows: settings, and the run's ``name``."""
    tracker: Tracker | None = None
    """Where metrics are sent besides, from :meth:`run` on."""

    def __init__(
        self,
        module: nn.Module,
        optimizers: Mapping[str, torch.optim.Optimizer],
        settings: LoopSettings,
        *,
        remedy: str,
        compiled: bool = False,
        stream: Stream | None = None,
        ranks: Ranks = ALONE,
        tell: Callable[[str], None] = print,
    ) -> None:
        self.module = module
        self.ranks = ranks
        self.optimizers = optimizers
        self.settings = settings
        self.remedy = remedy
        self.compiled = compiled
        self.tell = tell
        self.device = next(module.parameters()).device
        asked = settings.background_checkpoints
        self._in_background = self.device.type != "cpu" if asked == "auto" else asked
        keep_freed_memory(self.device)
        self.state = TrainingState(module, optimizers, stream=stream, ranks=ranks)
        moved = {
            name: {p for group in optimizer.param_groups for p in group["params"]}
            for name, optimizer in optimizers.items()
        }
        # In the module's order: the last digits of a gradient norm depend on the order of the sum.
        self._parameters = {
            name: [p for p in module.parameters() if p in own] for name, own in moved.items()
        }

    @property
    def progress(self) -> Progress:
        """Counters of the steps done."""
        return self.state.progress

    @abstractmethod
    def backward(self) -> Found:
        """Adds the gradients of the next step to the parameters' ``grad``."""

    @abstractmethod
    def after_update(self, found: Found) -> None:
        """Updates what no optimizer does; the step is not counted yet."""

    @abstractmethod
    def report(self, found: Found) -> tuple[Values, dict[str, int]]:
        """Returns the step's losses by name, and its increments of the counters."""

    @abstractmethod
    def speed(self, found: Found, counts: dict[str, int], seconds: float) -> Values:
        """Returns rates of a step that took ``seconds`` and added ``counts``."""

    @abstractmethod
    def validate(self) -> Values:
        """Returns losses on held-out data; empty without any."""

    def begin(self) -> None:
        """Checks what is to be trained, before the first step of a new run; not on a resume."""

    def prepare(self) -> None:
        """Makes ready what is not saved, before the first step of a run, new or resumed."""

    def rehearse(self) -> None:
        """Runs forward and backward passes of the next step without any effect on training."""
        self.backward()
        self.module.zero_grad()

    def run(
        self, folder: Path, on_step: Callable[[StepReport], None] = lambda report: None
    ) -> None:
        """Trains to the last step, from the newest checkpoint in ``folder`` if there is one.

        Raises:
            Stopped: on SIGTERM or Ctrl-C; the current step was finished and saved.
            UserError: the run cannot begin, too many gradients in a row are not finite, the disk
                is full, or all checkpoints are damaged.
        """
        with StopRequest() as stop:
            for _ in self.turns(folder, stop, on_step):
                pass

    def turns(
        self,
        folder: Path,
        stop: StopRequest,
        on_step: Callable[[StepReport], None] = lambda report: None,
    ) -> Generator[None, Ahead[Found] | None, None]:
        """As :meth:`run`, but waits before each step, and takes it when it is iterated further.

        It may be sent what the step's backward pass found, where others made the pass.
        """
        checkpoints = Checkpoints(
            folder / "checkpoints",
            self.settings.keep_checkpoints,
            self.tell,
            self.identity,
            self.ranks,
            self._stays,
        )
        with deterministic_on_cpu(self.device):
            if self.state.restore(checkpoints):
                self.tell(f"going on from {self._where}")
            else:
                self.begin()
            self.prepare()
            step, threads = self.progress.step, self.threads(folder / "threads.json")
            first, asked = self.ranks.is_first, self.settings.tracker
            if first and asked.kind is not None:
                self.tracker = Tracker(asked, folder, self.about, self.tell)
            log = MetricsLog(folder, step, self.tracker) if first else NoLog()
            with closing(log), threads.in_use(step):
                trace = Trace(folder, self.settings.trace_step, self.ranks.rank, self.tell)
                yield from self._train(checkpoints, log, stop, on_step, threads.after_step, trace)
        return_freed_memory(self.device)

    def threads(self, record: Path | None, given: int | None = None) -> Threads:
        """Returns what sets the number of threads; compiled code keeps that of its compilation."""
        if self.device.type != "cpu":
            return Threads(None, self.rehearse, given=torch.get_num_threads())
        if self.ranks.size > 1:  # a measurement of one rank would wait for the others'
            given = given_threads() or max(1, (os.cpu_count() or 1) // self.ranks.local_size)
            return Threads(record if self.ranks.is_first else None, self.rehearse, given=given)
        given = given or given_threads() or (torch.get_num_threads() if self.compiled else None)
        return Threads(record, self.rehearse, given=given, tell=self.tell)

    def step(self, ahead: Ahead[Found] | None = None) -> StepReport:
        """Updates the weights once and returns a report; skips the update if a norm is not finite.

        ``ahead``: of the step's backward pass, where it was made already.

        Raises:
            UserError: too many steps in a row were skipped.
        """
        begin_seconds = time.perf_counter() - (ahead.seconds if ahead else 0.0)
        settings, progress = self.settings, self.progress
        rate = learning_rate(
            settings.schedule, settings.optimizer.learning_rate, progress.step, settings.steps
        )
        found = ahead.found if ahead else self.backward()
        norms = {
            name: clip_grad_norm(own, settings.max_grad_norm)
            for name, own in self._parameters.items()
        }
        finite = all(map(math.isfinite, norms.values()))
        updates = finite and not is_spike(progress, norms, settings.spike_factor)
        if updates:
            for optimizer in self.optimizers.values():
                for group in optimizer.param_groups:
                    group["lr"] = rate
                optimizer.step()
            self.after_update(found)
        self.module.zero_grad()
        losses, counts = self.report(found)
        progress.count(counts, updates=updates, finite=finite)
        values = {**losses, **norms, "learning_rate": rate, **progress.counters}
        values["skipped_steps"] = progress.skipped_steps
        synchronise(self.device)
        seconds = time.perf_counter() - begin_seconds
        timing = {"seconds": seconds, "threads": torch.get_num_threads()}
        timing |= self.speed(found, counts, seconds)
        refuse_repeated_failure(progress, self._where, rate, self.remedy, self.ranks)
        return StepReport(progress.step, losses, values, timing)

    def _train(
        self,
        checkpoints: Checkpoints,
        log: MetricsLog | NoLog,
        stop: StopRequest,
        on_step: Callable[[StepReport], None],
        after_step: Callable[[int, float], None],
        trace: Trace,
    ) -> Generator[None, Ahead[Found] | None, None]:
        settings, progress, ranks = self.settings, self.progress, self.ranks
        saved_step = progress.step
        while progress.step < settings.steps:
            done = progress.step
            try:
                ahead = yield
                if ahead is None and self._stops(stop):
                    break
                ranks.alive()
                with trace.of(progress.step + 1):
                    report = self.step(ahead)
            except (UserError, OtherRankError) as error:
                mistake = getattr(error, "mistake", True)
                if mistake and saved_step < done == progress.step:  # a document's, not the step's
                    self._save(checkpoints, log)
                raise
            if asks_for_rollback(progress, ranks) and self.state.return_weights(checkpoints):
                self.tell(f"spikes at {self._where}: back to the last checkpoint's weights")
            after_step(progress.step, report.timing["seconds"])
            last = progress.step == settings.steps
            if last or progress.step % settings.log_every_steps == 0:
                with ranks.later():
                    log.write("train", progress.step, report.values, report.timing)
            if last or progress.step % settings.validate_every_steps == 0:
                report = replace(report, validation=self.validate())
                with ranks.later():
                    log.write("validation", progress.step, report.validation, {})
            due = progress.step % settings.checkpoint_every_steps == 0
            if last or due or progress.step in self.kept_steps:
                self._save(checkpoints, log, background=not last and self._in_background)
                saved_step = progress.step
            on_step(report)
        if saved_step < progress.step:
            self._save(checkpoints, log)
        checkpoints.wait()
        if self._stops(stop):
            assert stop.signal is not None
            raise Stopped(stop.signal, self._where)

    def _stays(self, step: int) -> bool:
        """Whether the checkpoint of a step stays when newer ones come."""
        every = self.settings.keep_every_steps
        return step in self.kept_steps or (every is not None and step % every == 0)

    def _stops(self, stop: StopRequest) -> bool:
        """Whether a rank was asked to stop, so that all do."""
        if number := self.ranks.most(stop.signal or 0):
            stop.signal = signal.Signals(number)
        return number > 0

    def _save(
        self, checkpoints: Checkpoints, log: MetricsLog | NoLog, *, background: bool = False
    ) -> None:
        with self.ranks.together():
            log.sync()
        self.state.save(checkpoints, background=background)

    @property
    def _where(self) -> str:
        of = f" of {self.name}" if self.name else ""
        return f"step {self.progress.step} of {self.settings.steps}{of}"
