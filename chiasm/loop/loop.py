"""The loop that trains the decoder and the stages of tokenizers: a step is :meth:`Loop.step`.

Choices:

- The horizon is a number of steps, never a time: a run is a function of its settings.
- A step whose gradients are not finite is skipped and counted; too many in a row end the run.
- The state to save is the module, the optimisers, a few counters and where the task stands in its
  data. Everything random is keyed by what it belongs to.
- On CPU algorithms are deterministic and the number of threads is recorded, so that resumed equals
  uninterrupted, bit for bit.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Generic

import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

from chiasm.device import deterministic_on_cpu, synchronise
from chiasm.errors import UserError
from chiasm.loop.checkpoint import Checkpoints
from chiasm.loop.metrics import MetricsLog
from chiasm.loop.optimiser import set_learning_rate
from chiasm.loop.schedule import learning_rate
from chiasm.loop.settings import LoopSettings
from chiasm.loop.task import Found, Progress, StepReport, Task
from chiasm.stop import Stopped, StopRequest
from chiasm.threads import Threads, given_threads


class Loop(Generic[Found]):
    """Trains ``task`` in place; nothing is written before :meth:`run`.

    Args:
        task: what is trained, already on its device.
        settings: of the run, its optimiser's learning rate and its schedule.
        compiled: parts of the task are compiled, for the number of threads that torch has.
        tell: receives one line about anything the user should know.
    """

    def __init__(
        self,
        task: Task[Found],
        settings: LoopSettings,
        *,
        compiled: bool = False,
        tell: Callable[[str], None] = print,
    ) -> None:
        self.task = task
        self.settings = settings
        self.compiled = compiled
        self.tell = tell
        self.progress = Progress()

    def run(
        self, folder: Path, on_step: Callable[[StepReport], None] = lambda report: None
    ) -> None:
        """Go on from the newest checkpoint in ``folder``, or begin, until the last step.

        Raises:
            Stopped: SIGTERM or Ctrl-C came; the step at hand was done and saved.
            UserError: the task cannot begin, gradients stay not finite, the disk is full, or
                checkpoints are all damaged.
        """
        checkpoints = Checkpoints(
            folder / "checkpoints", self.settings.keep_checkpoints, self.tell, self.task.identity
        )
        with deterministic_on_cpu(self.task.device):
            if not self._resume(checkpoints):
                self.task.begin()
            log = MetricsLog(folder, self.progress.step)
            threads = self.threads(folder / "threads.json")
            try:
                with threads.in_use(self.progress.step, self.rehearse):
                    self._train(checkpoints, log, on_step, threads.after_step)
            finally:
                log.close()

    def threads(self, record: Path | None, given: int | None = None) -> Threads:
        """What decides the number of threads; compiled code keeps the one it was made for.

        ``record`` and ``given`` are those of :class:`~chiasm.threads.Threads`.
        """
        if self.task.device.type != "cpu":
            return Threads(None, given=torch.get_num_threads())
        given = given or given_threads()
        if self.compiled:
            given = given or torch.get_num_threads()
        return Threads(record, given=given, tell=self.tell)

    def rehearse(self) -> None:
        """Most of the next step's work, without a trace."""
        self.task.rehearse(self.progress.step)
        self._zero_gradients()

    def step(self) -> StepReport:
        """One update of the weights; skipped where a gradient is not finite.

        Raises:
            UserError: it was not finite too many times in a row.
        """
        begin_seconds = time.perf_counter()
        task, settings, progress = self.task, self.settings, self.progress
        rate = learning_rate(
            settings.schedule, settings.optimiser.learning_rate, progress.step, settings.steps
        )
        found = task.backward(progress.step)
        norms = [
            nn.utils.clip_grad_norm_(side.parameters, settings.clip_norm) for side in task.sides
        ]
        finite = all(bool(torch.isfinite(norm)) for norm in norms)
        if finite:
            for side in task.sides:
                set_learning_rate(side.optimiser, rate)
                side.optimiser.step()
            task.after_update(found, progress.step + 1)
        self._zero_gradients()
        losses, counts = task.report(found)
        progress.count(counts, finite)
        done = {
            f"gradient_norm{side.name and '/'}{side.name}": float(norm)
            for side, norm in zip(task.sides, norms, strict=True)
        }
        done |= {"learning_rate": rate, **progress.counters}
        done["skipped_steps"] = progress.skipped_steps
        synchronise(task.device)
        seconds = time.perf_counter() - begin_seconds
        timing = {"seconds": seconds, "threads": torch.get_num_threads()}
        timing |= task.speed(found, counts, seconds)
        self._refuse_repeated_failure(rate)
        return StepReport(progress.step, losses, done, timing)

    def _zero_gradients(self) -> None:
        for side in self.task.sides:
            side.optimiser.zero_grad()

    def _train(
        self,
        checkpoints: Checkpoints,
        log: MetricsLog,
        on_step: Callable[[StepReport], None],
        after_step: Callable[[int, float], None],
    ) -> None:
        settings, progress = self.settings, self.progress
        saved_step = progress.step
        with StopRequest() as stop:
            while progress.step < settings.steps and stop.signal is None:
                report = self.step()
                after_step(progress.step, report.timing["seconds"])
                last = progress.step == settings.steps
                if last or progress.step % settings.log_every_steps == 0:
                    log.write("train", progress.step, report.values, report.timing)
                if last or progress.step % settings.validate_every_steps == 0:
                    log.write("validation", progress.step, self.task.validate(progress.step), {})
                if last or stop.signal or progress.step % settings.checkpoint_every_steps == 0:
                    self._save(checkpoints, log)
                    saved_step = progress.step
                on_step(report)
            if saved_step < progress.step:  # the signal came while the step was told
                self._save(checkpoints, log)
        if stop.signal is not None:
            raise Stopped(stop.signal, self._where)

    def _save(self, checkpoints: Checkpoints, log: MetricsLog) -> None:
        log.sync()
        stream = self.task.stream.get_state() if self.task.stream else None
        progress = {"counters": asdict(self.progress), "stream": stream}
        checkpoints.save(self.progress.step, self._tensors(), progress)

    def _resume(self, checkpoints: Checkpoints) -> bool:
        tensors = self._tensors()
        progress = checkpoints.restore(tensors)
        if progress is None:
            return False
        set_state_dict(
            self.task.module,
            self._optimisers,
            model_state_dict=tensors["model"],
            optim_state_dict=tensors["optimiser"],
        )
        torch.set_rng_state(tensors["random"])
        if self.task.stream:
            self.task.stream.set_state(progress["stream"])
        self.progress = Progress(**progress["counters"])
        self.tell(f"going on from {self._where}")
        return True

    def _tensors(self) -> dict[str, Any]:
        model, optimiser = get_state_dict(self.task.module, self._optimisers)
        return {"model": model, "optimiser": optimiser, "random": torch.get_rng_state()}

    @property
    def _optimisers(self) -> list[torch.optim.Optimizer]:
        return [side.optimiser for side in self.task.sides]

    @property
    def _where(self) -> str:
        of = f" of {self.task.name}" if self.task.name else ""
        return f"step {self.progress.step} of {self.settings.steps}{of}"

    def _refuse_repeated_failure(self, rate: float) -> None:
        failures = self.progress.skipped_in_a_row
        if failures >= self.settings.non_finite_limit:
            raise UserError(
                f"training stopped at {self._where}: the gradient was not finite in {failures} "
                f"steps in a row, at learning rate {rate:.3g}. The weights are those of the last "
                "finite step",
                remedy=self.task.remedy,
            )
