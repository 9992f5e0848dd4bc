"""Progress bars and lines in the terminal while a run is prepared and trained."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from statistics import fmean
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column

from chiasm.loop.progress import StepReport

MEAN_STEPS = 20
"""Steps whose mean losses are shown: those of single ones jump from batch to batch."""
LINE_INTERVAL_SECONDS = 30.0
"""Least time between two lines of a stage, where no terminal shows its bar."""


@dataclass
class _Stage:
    """Progress of a stage, and its times."""

    began_seconds: float
    begin: int
    told_seconds: float
    done: int
    of: int


class StageLines:
    """Plain lines for a log: at the begin and the end of a stage, and at intervals between.

    Args:
        write: callback for each line.
        clock: function that returns the time in seconds.
    """

    def __init__(
        self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._write, self._clock = write, clock
        self._stages: dict[str, _Stage] = {}

    def update(self, what: str, done: int, of: int, note: str) -> None:
        """Records the progress of a stage; writes a line if one is due."""
        now = self._clock()
        stage = self._stages.get(what)
        if stage is None or (stage.done >= stage.of and done < of):
            stage = self._stages[what] = _Stage(now, done, now, done, of)
            self._line(what, stage, "ended" if done >= of else "begins", note)
            return
        was_ended = stage.done >= stage.of
        stage.done, stage.of = done, of
        spent_seconds = now - stage.began_seconds
        if done >= of:
            if not was_ended:
                self._line(what, stage, f"ended after {_duration(spent_seconds)}", note)
        elif now - stage.told_seconds >= LINE_INTERVAL_SECONDS:
            stage.told_seconds = now
            self._line(what, stage, note, _time_left(stage, spent_seconds))

    def forget(self, what: str) -> None:
        """Closes a stage; writes its last progress if it has not ended."""
        stage = self._stages.pop(what, None)
        if stage is not None and stage.done < stage.of:
            self._line(what, stage, "no longer running")

    def close(self) -> None:
        """Closes every stage."""
        for what in list(self._stages):
            self.forget(what)

    def _line(self, what: str, stage: _Stage, *parts: str) -> None:
        self._write("  ".join([f"{what}: {stage.done}/{stage.of}", *filter(None, parts)]))


class RunDisplay:
    """One bar per stage, that of training with losses and tokens per second.

    If the output is a file or a pipe, plain lines (:class:`StageLines`) replace the bars. A context
    manager; its methods are callbacks of :func:`chiasm.assembly.train_run`.
    """

    def __init__(
        self, num_steps: int = 0, console: Console | None = None, *, silent: bool = False
    ) -> None:
        console = Console(quiet=True) if silent else console
        self.num_steps = num_steps
        self.steps = 0
        """Steps of training that were shown."""
        self.progress = Progress(
            _whole("{task.description}"),
            BarColumn(bar_width=20),
            _whole("{task.percentage:>3.0f}%"),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            TextColumn("{task.fields[note]}"),
            console=console or Console(stderr=True),
        )
        self._tasks: dict[str, TaskID] = {}
        self._num_sections = 0
        self._losses: dict[str, deque[float]] = {}
        # rich writes live bars to a file only when they stop, which is hours late for a log.
        interactive = self.progress.console.is_interactive
        self._lines = None if interactive else StageLines(self.tell)

    def __enter__(self) -> RunDisplay:
        if self._lines is None:
            self.progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._lines is None:
            self.progress.stop()
        else:
            self._lines.close()

    def tell(self, line: str) -> None:
        """Prints one line above the bars."""
        # A log has no width to break lines at.
        soft_wrap = self._lines is not None
        self.progress.console.print(line, markup=False, highlight=False, soft_wrap=soft_wrap)

    def on_stage(self, what: str, done: int, of: int) -> None:
        """Shows the progress of a preparation."""
        self._update(what, done, of, "")

    def forget(self, what: str) -> None:
        """Removes a bar."""
        if self._lines is not None:
            self._lines.forget(what)
        if what in self._tasks:
            self.progress.remove_task(self._tasks.pop(what))

    def on_fit(self, stage: str, done: int, of: int, losses: Mapping[str, float]) -> None:
        """Shows a step of a vision tokenizer's training."""
        note = "  ".join(f"{name} {value:.3f}" for name, value in losses.items())
        self._update(stage, done, of, note)

    def on_section(self, name: str, number: int, of: int) -> None:
        """Shows the section of an evaluation that begins."""
        self._num_sections = of
        self._update("evaluating", number, of, name)

    def end_sections(self) -> None:
        """Shows that the last section has ended: :meth:`on_section` reports only beginnings."""
        self._update("evaluating", self._num_sections, self._num_sections, "")

    def on_step(self, report: StepReport) -> None:
        """Shows a step of training, with the mean losses of the last ones."""
        self.steps += 1
        for key, value in report.values.items():
            if key.endswith(("text_loss", "flow_loss", "inner_loss")):
                self._losses.setdefault(key, deque(maxlen=MEAN_STEPS)).append(value)
        # Bars show only the share of steps; lines count them.
        parts = [f"{report.step}/{self.num_steps}"] if self._lines is None else []
        parts += [f"{report.timing['tokens_per_second']:,.0f} tokens/s"]
        parts += [
            f"{key.removesuffix('_loss').replace('/', ' ')} {fmean(last):.3f}"
            for key, last in self._losses.items()
        ]
        if self.steps > 1:
            parts += [f"(means of {min(self.steps, MEAN_STEPS)} steps)"]
        self._update("training", report.step, self.num_steps, "  ".join(parts))

    def _update(self, what: str, done: int, of: int, note: str) -> None:
        if self._lines is not None:
            self._lines.update(what, done, of, note)
            return
        if what not in self._tasks:
            # The bar of a resumed run begins at its present step, so that the time left is right.
            begin = done - 1 if done > 1 else 0
            self._tasks[what] = self.progress.add_task(what, total=of, completed=begin, note=note)
        self.progress.update(self._tasks[what], total=of, completed=done, note=note)


def _whole(template: str) -> TextColumn:
    return TextColumn(template, table_column=Column(no_wrap=True))


def _time_left(stage: _Stage, spent_seconds: float) -> str:
    """Returns the time left at the stage's mean pace; empty before its first progress."""
    advanced = stage.done - stage.begin
    if advanced <= 0:
        return ""
    return f"about {_duration(spent_seconds / advanced * (stage.of - stage.done))} left"


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
