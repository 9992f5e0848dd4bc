"""The base of kinds that read recorded episodes with controls: their settings, and both sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import Field

from chiasm.actions import ActionFormat
from chiasm.capabilities import ActionVideos
from chiasm.data.episode_source import EpisodeSource, FramesAlone, StretchSettings
from chiasm.data.episodes import (
    RecordedControl,
    Recordings,
    apart,
    one_side,
    refuse_mostly_unusable,
)
from chiasm.data.navigation import TASKS
from chiasm.data.source import FileSettings, Opened, Opening, SourceFacts, Steps, check_task
from chiasm.documents import Split
from chiasm.errors import UserError
from chiasm.settings import Settings


class RecordingSettings(FileSettings, StretchSettings):
    """The base of kinds whose documents are recorded episodes with controls."""

    task: str = ""
    """video, action_video or inverse_dynamics."""
    controls: dict[str, RecordedControl] = Field({})
    """Controls of the recipe's table ``actions.controls`` that were recorded, and where; empty: all
    of them, under their own names."""

    shares: ClassVar[tuple[str, ...]] = ()

    def check(self) -> None:
        """Refuses a missing path and an unknown task.

        Raises:
            UserError: the path is missing or the task is unknown.
        """
        check_task(self, self.task, TASKS)
        super().check()

    def read(
        self, path: str, controls: Mapping[str, RecordedControl], actions: ActionFormat
    ) -> Recordings:
        """Returns all episodes under a path, with these controls.

        Raises:
            UserError: the path cannot be read, or lacks a column.
        """
        raise NotImplementedError

    def recorded(self, actions: ActionFormat, task: str) -> dict[str, RecordedControl]:
        """Returns where each control is recorded, in the order of the recipe; none for videos.

        Raises:
            UserError: the recipe has no controls, or one of these is not among them.
        """
        if task == "video" and not self.controls:
            return {}
        if not actions.controls:
            raise UserError(
                f": {task} needs the controls' names, ranges and units; write, for example, "
                "[actions.controls] steering = { range = [-1.0, 1.0] }",
                setting="task",
            )
        for name in self.controls:
            if name not in actions.controls:
                raise UserError(
                    f"is no control of this recipe, which has {', '.join(actions.controls)}",
                    setting=f"controls.{name}",
                    remedy=f"add {name} to [actions.controls]",
                )
        given = self.controls or {name: RecordedControl() for name in actions.controls}
        return {name: given[name] for name in actions.controls if name in given}

    def open(self, name: str, opening: Opening) -> Opened:
        """Returns both sides."""
        train, held_out, facts = self._sides(name, opening, self.task)
        return Opened(train, held_out, facts)

    def open_pictures(
        self, name: str, opening: Opening, *, side: tuple[str, int], captioned: bool
    ) -> Opened:
        """Returns both sides; without ``captioned``, documents of single frames."""
        if captioned:
            return self.open(name, opening)
        train, held_out, facts = self._sides(name, opening, "video")
        return Opened(FramesAlone(train), FramesAlone(held_out), facts)

    def open_views(self, name: str, opening: Opening) -> ActionVideos:
        """Returns the held-out episodes."""
        return self._sides(name, opening, self.task)[1]

    def steps(self, tables: Mapping[str, Settings]) -> Steps | None:
        """Returns the shape of the steps between views; None for videos."""
        if self.task == "video":
            return None
        inverse = self.task == "inverse_dynamics"
        return Steps(self.frames[1], controlled=True, inverse=inverse)

    def _sides(
        self, name: str, opening: Opening, task: str
    ) -> tuple[EpisodeSource, EpisodeSource, SourceFacts]:
        where = self.recorded(opening.actions, task)
        found = self._read("path", where, opening.actions)
        notes = found.notes
        if self.held_out_path:
            other = self._read("held_out_path", where, opening.actions)
            held_out = other.episodes
            train, doubled = apart(found.episodes, held_out)
            notes += (f"held out is all of {self.held_out_path}", *other.notes, *doubled)
        else:
            (train, chosen), (held_out, _) = (
                one_side(found, self.held_out_fraction, self.longest_reach, split)
                for split in Split
            )
            notes += chosen
        controls = {own: opening.actions.controls[own] for own in where}
        sources = [
            EpisodeSource(name, task, own, controls, self, opening.actions, found.frames_per_second)
            for own in (train, held_out)
        ]
        return sources[0], sources[1], self._facts(found, sources[0], sources[1], notes)

    def _read(
        self, blamed: str, controls: Mapping[str, RecordedControl], actions: ActionFormat
    ) -> Recordings:
        """Returns what the path of a setting has; a mistake in it names the setting."""
        path = getattr(self, blamed)
        try:
            found = self.read(path, controls, actions)
        except UserError as error:
            if error.setting:
                raise
            raise UserError(f": {error}", setting=blamed, value=path) from error
        refuse_mostly_unusable(found)
        return found

    def _facts(
        self,
        found: Recordings,
        train: EpisodeSource,
        held_out: EpisodeSource,
        notes: Sequence[str],
    ) -> SourceFacts:
        told = (
            f"training: {train.told}; held out: {held_out.told}",
            *([f"controls: {train.controls_told}"] if train.controls_told else []),
            *notes,
            *train.notes,
        )
        return SourceFacts(
            kind=self.kind,
            rows=found.rows,
            documents=len(train) + len(held_out),
            held_out=len(held_out),
            files=found.files,
            image_column=found.read_from,
            skipped=dict(found.skipped),
            notes=told,
            fingerprint=found.fingerprint,
        )
