"""A tracker of experiments beside the files of a run: Weights & Biases, or trackio.

Its package is imported when a run asks for it. Whatever fails in it is told once, and the run goes
on without: its files have every number.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from chiasm.errors import first_line
from chiasm.settings import Settings
from chiasm.whole import write_json

RECORD = "tracker.json"
"""File of a run that keeps the tracker's name of it, so that a resumed run goes on in the same."""


class TrackerSettings(Settings):
    """Where metrics are sent besides the run's own files."""

    kind: Literal["wandb", "trackio"] | None = None
    """Package that takes them, which has to be installed: ``wandb``, with the account that ``wandb
    login`` names, or ``trackio``, on this machine; unset: none."""
    project: str = "chiasm"
    """Project that they are kept under."""
    run: str = ""
    """Name of the run there; empty: the recipe's."""

    def check(self) -> None:
        """Refuses a package that is not installed.

        Raises:
            UserError: it is not.
        """
        if self.kind is None:
            return
        found = find_spec(self.kind)
        if found is None or found.origin is None:  # a folder of that name, as wandb makes, is none
            remedy = f"pip install {self.kind}, or leave it out"
            raise self.error("kind", "names a package that is not installed", remedy)


class Tracker:
    """The run of a folder in a tracker.

    Args:
        settings: with a kind.
        folder: of the run.
        about: settings that the tracker shows, with the run's ``name``.
        tell: receives one line if the tracker fails.
    """

    def __init__(
        self,
        settings: TrackerSettings,
        folder: Path,
        about: Mapping[str, Any],
        tell: Callable[[str], None],
    ) -> None:
        self._kind, self._tell = settings.kind, tell
        self._run: Any = None
        with self._failing():
            name = settings.run or str(about.get("name", folder.resolve().name))
            own = _identity(settings, name, folder)
            begin = _begin_wandb if settings.kind == "wandb" else _begin_trackio
            self._run = begin(settings.project, name, own, folder, dict(about))

    def write(self, phase: str, step: int, values: Mapping[str, float]) -> None:
        """Sends numbers of a step, if there are any; nothing after a failure."""
        if self._run is not None and values:
            with self._failing():
                self._run.log({f"{phase}/{n}": value for n, value in values.items()}, step=step)

    def close(self) -> None:
        """Waits until all is sent."""
        if self._run is not None:
            with self._failing():
                self._run.finish()

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # of any type: of networks, accounts, disks
            self._run = None
            self._tell(
                f"training goes on without {self._kind}, which fails: {first_line(error)}; "
                "metrics.jsonl and tensorboard/ have every number"
            )


def _identity(settings: TrackerSettings, name: str, folder: Path) -> str:
    """Returns the tracker's id of a run, the same each time that the run goes on."""
    told = {"kind": settings.kind, "project": settings.project, "run": name}
    try:
        kept = json.loads((folder / RECORD).read_text())
        own = kept.pop("id")
        if kept == told:
            return str(own)
    except (OSError, ValueError, KeyError):
        pass  # none yet, or damaged: a new one
    own = uuid4().hex[:8]
    write_json(folder / RECORD, told | {"id": own})
    return own


def _begin_wandb(project: str, name: str, own: str, folder: Path, about: dict[str, Any]) -> Any:
    import wandb

    return wandb.init(
        project=project,
        name=name,
        id=own,
        resume="allow",
        config=about,
        dir=str(folder),
        reinit="create_new",  # several seeds may train in one process
        settings=wandb.Settings(console="off"),
    )


def _begin_trackio(project: str, name: str, own: str, folder: Path, about: dict[str, Any]) -> Any:
    import trackio

    # Runs are told apart by their names.
    return trackio.init(project=project, name=f"{name} {own}", resume="allow", config=about)
