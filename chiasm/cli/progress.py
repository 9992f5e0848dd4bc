"""What the terminal shows while a run is prepared and trained."""

from __future__ import annotations

from collections.abc import Mapping
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

from chiasm.training import StepReport


class RunDisplay:
    """One bar for each stage, the training's with losses and tokens per second.

    A context; its methods are what :func:`chiasm.assembly.train_run` takes as callbacks.
    """

    def __init__(self, num_steps: int = 0, console: Console | None = None) -> None:
        self.num_steps = num_steps
        self.progress = Progress(
            _whole("{task.description}"),
            BarColumn(bar_width=20),
            _whole("{task.percentage:>3.0f}%"),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            TextColumn("{task.fields[note]}"),
            console=console or Console(stderr=True),
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> RunDisplay:
        self.progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.progress.stop()

    def tell(self, line: str) -> None:
        """Print one line above the bars."""
        self.progress.console.print(line, markup=False, highlight=False)

    def on_stage(self, what: str, done: int, of: int) -> None:
        """Show how far a preparation is."""
        self._update(what, done, of, "")

    def forget(self, what: str) -> None:
        """Take a bar away."""
        if what in self._tasks:
            self.progress.remove_task(self._tasks.pop(what))

    def on_fit(self, stage: str, done: int, of: int, losses: Mapping[str, float]) -> None:
        """Show a step of a vision tokenizer's training."""
        note = "  ".join(f"{name} {value:.3f}" for name, value in losses.items())
        self._update(stage, done, of, note)

    def on_section(self, name: str, number: int, of: int) -> None:
        """Show which section of an evaluation begins, and when the last has ended."""
        self._update("evaluating", number, of, name)

    def on_step(self, report: StepReport) -> None:
        """Show a step of training."""
        values = report.values
        parts = [f"{report.step}/{self.num_steps}"]
        parts += [f"{report.timing['tokens_per_second']:,.0f} tokens/s"]
        parts += [
            f"{name} {values[key]:.3f}"
            for name, key in (("text", "text_loss"), ("flow", "flow_loss"))
            if key in values
        ]
        self._update("training", report.step, self.num_steps, "  ".join(parts))

    def _update(self, what: str, done: int, of: int, note: str) -> None:
        if what not in self._tasks:
            # A run that goes on begins its bar where it stands, so that the time left is right.
            begin = done - 1 if done > 1 else 0
            self._tasks[what] = self.progress.add_task(what, total=of, completed=begin, note=note)
        self.progress.update(self._tasks[what], total=of, completed=done, note=note)


def _whole(template: str) -> TextColumn:
    return TextColumn(template, table_column=Column(no_wrap=True))
