"""Metrics of a run while it trains: JSON lines, TensorBoard and a tracker.

``metrics.jsonl`` holds only what the recipe determines (losses, counts, learning rate), so that two
runs of one recipe on one machine write the same bytes, resumed or not. Times and rates go to
``timing.jsonl``. Each line is one object: ``step`` (steps done), ``phase`` (train or validation)
and numbers by name, such as ``text_loss`` or ``flow_loss/video``; TensorBoard has them as
``train/text_loss``.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from io import FileIO
from pathlib import Path
from typing import Any

from chiasm.errors import UserError
from chiasm.loop.tracker import Tracker
from chiasm.whole import write_whole

Values = Mapping[str, float]
"""Numbers by name."""


class MetricsLog:
    """The metric files of one run folder, after ``step`` steps, and a tracker beside them.

    Lines of later steps, from a run that was killed before its next checkpoint, are dropped.
    """

    def __init__(self, folder: Path, step: int, tracker: Tracker | None = None) -> None:
        self._boards: list[_Board | Tracker] = [_Board(folder / "tensorboard", step)]
        if tracker is not None:
            self._boards.append(tracker)
        self.folder = folder
        self._metrics = _open_at(folder / "metrics.jsonl", step)
        self._timing = _open_at(folder / "timing.jsonl", step)

    def write(self, phase: str, step: int, values: Values, timing: Values) -> None:
        """Adds a line to each file with values; numbers that are not finite become null.

        Raises:
            UserError: the disk is full or the write fails.
        """
        try:
            for file, content in ((self._metrics, values), (self._timing, timing)):
                if content:
                    finite = {n: v if math.isfinite(v) else None for n, v in content.items()}
                    line = {"step": step, "phase": phase, **finite}
                    file.write(f"{json.dumps(line)}\n".encode())
        except OSError as error:
            raise UserError(
                f"metrics cannot be written to {self.folder}: {error.strerror}. Earlier "
                "checkpoints are intact; make room and run the same command again to go on"
            ) from error
        for board in self._boards:
            board.write(phase, step, {**values, **timing})

    def sync(self) -> None:
        """Flushes all lines to disk: a checkpoint is never ahead of its metrics."""
        for file in (self._metrics, self._timing):
            os.fsync(file.fileno())

    def close(self) -> None:
        """Closes all files."""
        self._metrics.close()
        self._timing.close()
        for board in self._boards:
            board.close()


class NoLog:
    """Of a rank whose numbers another one writes."""

    def write(self, phase: str, step: int, values: Values, timing: Values) -> None:
        """Writes nothing, as its other methods."""

    def sync(self) -> None: ...

    def close(self) -> None: ...


class _Board:
    """TensorBoard's file: one event a line, where ``SummaryWriter`` would write one for each number
    and take a twentieth of a small model's step for it."""

    def __init__(self, folder: Path, step: int) -> None:
        # Slow, and readers of metrics need none.
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from torch.utils.tensorboard.writer import FileWriter

        self._writer = FileWriter(str(folder))
        self._writer.add_event(Event(file_version="brain.Event:2"), step + 1)
        # What an earlier process wrote of later steps is not shown.
        self._writer.add_event(Event(session_log=SessionLog(status=SessionLog.START)), step + 1)

    def write(self, phase: str, step: int, values: Values) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        each = [Summary.Value(tag=f"{phase}/{n}", simple_value=v) for n, v in values.items()]
        self._writer.add_summary(Summary(value=each), step)

    def close(self) -> None:
        self._writer.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Returns the lines of a metrics file, up to one that a kill cut in half."""
    if not path.exists():
        return []
    lines = []
    for line in path.read_text().splitlines():
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return lines


def _open_at(path: Path, step: int) -> FileIO:
    kept = [line for line in read_metrics(path) if line["step"] <= step]
    write_whole(path, "".join(json.dumps(line) + "\n" for line in kept))
    return FileIO(path, "ab")  # unbuffered: after a full disk close has nothing to retry
