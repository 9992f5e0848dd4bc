"""The operations of one step with their times, as torch's profiler records them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from torch.profiler import profile

from chiasm.whole import whole


@dataclass(frozen=True)
class Trace:
    """Records the step of one number, into a file of each rank."""

    folder: Path
    """Of the run."""
    step: int | None
    """None: no step."""
    rank: int
    tell: Callable[[str], None]

    @contextmanager
    def of(self, step: int) -> Iterator[None]:
        """Runs one step inside the context, and records it if it is the one."""
        if step != self.step:
            yield
            return
        with profile() as recorded:
            yield
        path = self.folder / "trace" / f"step-{step:07d}-rank-{self.rank}.json"
        with whole(path) as aside:
            recorded.export_chrome_trace(str(aside))
        self.tell(f"the operations of step {step} are recorded in {path}")
