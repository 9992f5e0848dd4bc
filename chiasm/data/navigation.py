"""Documents of recorded walks: plain videos, and videos with the actions between their frames.

An action video goes from frame to frame by random horizons, as Navigation World Models are
trained: [Image(context), "action: ... rel_t=+4", Image(target), "action: ...", Image(target), ...].
Whole trajectories are held out (:mod:`chiasm.data.sides`).
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import xxhash
from pydantic import field_validator

from chiasm.actions import Action, ActionFormat
from chiasm.data.cameras import PoseSettings
from chiasm.data.coarseness import coarseness_notes
from chiasm.data.goals import action_video, draw_goals, inverse_dynamics, video
from chiasm.data.layouts import LEAVE_OUT
from chiasm.data.numbered import NumberedFrames, SpacedFrames
from chiasm.data.panning import refuse_turns_that_pictures_deny
from chiasm.data.sides import Side
from chiasm.data.survey import READING
from chiasm.data.trajectories import Trajectory
from chiasm.documents import Document, Image
from chiasm.errors import UserError
from chiasm.poses import Pose

TASKS = ("video", "action_video", "inverse_dynamics")
_VARIANTS = 16
"""Documents per first frame, with different lengths and horizons."""
_HASHED_FRAMES = 4096
"""Frames whose content is part of a source's fingerprint."""


class FrameSettings(SpacedFrames):
    """Which frames of a recorded walk make a document."""

    horizon_frames: tuple[int, int] = (1, 8)
    """action_video, inverse_dynamics: nearest and farthest next frame; a negative nearest one looks
    back too."""

    @field_validator("horizon_frames")
    @classmethod
    def _check_horizon(cls, value: tuple[int, int]) -> tuple[int, int]:
        if value[0] == 0 or not max(1, value[0]) <= value[1]:
            raise ValueError(
                f"horizon_frames = {value} must rise, to 1 or more, and not begin with 0"
            )
        return value

    @property
    def longest_reach(self) -> int:
        """Bound on the distance between a document's first and last frame, in recorded frames."""
        farthest = max(abs(horizon) for horizon in self.horizon_frames)
        return (self.frames[1] - 1) * farthest * self.frame_spacing

    @property
    def nearest_frames(self) -> int:
        """Smallest horizon ahead, in frames of the recipe's spacing."""
        return max(1, self.horizon_frames[0])

    def fewest_recorded(self, task: str) -> int:
        """Returns how many recorded frames a document of a task needs at least, from its first."""
        looks_back = task != "video" and self.horizon_frames[0] < 0
        steps = 1 if looks_back else self.frames[0] - 1
        nearest = 1 if task == "video" else self.nearest_frames
        return steps * nearest * self.frame_spacing + 1


class TrajectorySettings(FrameSettings, PoseSettings):
    """How recorded walks are read and become documents."""


class TrajectorySource(NumberedFrames):
    """Documents of one task over some trajectories.

    ``source[i]`` is a function of the trajectories, the settings and ``i``.

    Raises:
        UserError: frames that are missing or of several sizes, or too few.
    """

    def __init__(
        self,
        name: str,
        task: str,
        side: Side,
        settings: TrajectorySettings,
        actions: ActionFormat,
    ) -> None:
        trajectories = side.trajectories
        super().__init__(name, task, map(len, trajectories))
        self._trajectories, self._settings, self._actions = trajectories, settings, actions
        self.side = side
        for trajectory in trajectories:
            self._refuse_short(trajectory)
            trajectory.refuse_mixed_sizes()
        if task != "video":
            refuse_turns_that_pictures_deny(name, trajectories)
        self._starts = np.concatenate([self._starts_of(n) for n in range(len(trajectories))])

    def __len__(self) -> int:
        return len(self._starts) * _VARIANTS

    def __getitem__(self, index: int) -> Document:
        if not 0 <= index < len(self):
            raise IndexError(f"document {index} of {len(self)}")
        rng = np.random.default_rng([TASKS.index(self.task), index])
        first = self.frame_of(index)
        if self.task == "video":
            return video(self, self._video(first, rng))
        goals = self._goals(first, rng)
        if self.task == "inverse_dynamics":
            return inverse_dynamics(self, first, goals[0])
        return action_video(self, [first, *goals])

    @property
    def recordings(self) -> tuple[str, ...]:
        """Folders of the trajectories."""
        return tuple(str(trajectory.folder) for trajectory in self._trajectories)

    @property
    def fingerprint(self) -> str:
        """Hash of all poses, of names and sizes of all frames, and of evenly spread frames."""
        whole = xxhash.xxh3_128(f"reading {READING}".encode())
        looked_at = set(np.linspace(0, self.num_frames - 1, _HASHED_FRAMES).astype(int).tolist())
        frame = 0
        for trajectory in self._trajectories:
            whole.update(trajectory.identity)
            for file in trajectory.files:
                whole.update(f"{file.name} {file.stat().st_size}\0".encode())
                if frame in looked_at:
                    whole.update(file.read_bytes())
                frame += 1
        return whole.hexdigest()

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """Notes for the user before training: the sides, what was left out, lost motion."""
        own = self.side.notes
        if self.task == "video":
            return own
        settings = self._settings
        nearest, farthest = settings.horizon_frames
        horizons = sorted({abs(h) for h in range(nearest, farthest + 1) if h})
        coarse = coarseness_notes(
            self.name,
            [trajectory.poses_T3 for trajectory in self._trajectories],
            [horizon * settings.frame_spacing for horizon in horizons],
            settings.frame_spacing,
            self._actions,
        )
        return (*own, *coarse)

    @property
    def walks(self) -> list[range]:
        """Frames of each trajectory, one nearest horizon apart."""
        step = self._settings.frame_spacing * self._settings.nearest_frames
        return [range(*self._bounds(n), step) for n in range(len(self._trajectories))]

    def picture(self, frame: int) -> Image:
        """Returns one frame, as context."""
        number, own = self._placed(frame)
        return Image(self._trajectories[number].files[own], target=False)

    def action(self, before: int, after: int) -> str:
        """Returns the text of the action between two frames of one trajectory."""
        horizon = (after - before) // self._settings.frame_spacing
        return self._actions.write(Action.between(self.pose(before), self.pose(after), horizon))

    def pose(self, frame: int) -> Pose:
        """Returns the pose of one frame, in metres and degrees."""
        number, own = self._placed(frame)
        return self._trajectories[number].pose(own)

    def _starts_of(self, number: int) -> np.ndarray:
        begin, end = self._bounds(number)
        reach = self._settings.fewest_recorded(self.task) - 1
        looks_back = self.task != "video" and self._settings.horizon_frames[0] < 0
        frames = np.arange(begin, end)
        return frames[(frames + reach < end) | (looks_back & (frames - reach >= begin))]

    def _video(self, first: int, rng: np.random.Generator) -> range:
        spacing, (fewest, most) = self._settings.frame_spacing, self._settings.frames
        end = self._bounds(self.place_of(first))[1]
        possible = min(most, (end - 1 - first) // spacing + 1)
        return range(first, first + spacing * int(rng.integers(fewest, possible + 1)), spacing)

    def _goals(self, first: int, rng: np.random.Generator) -> list[int]:
        """Returns frames at random horizons, each from the one before, within the trajectory."""
        settings, (nearest, farthest) = self._settings, self._settings.horizon_frames
        fewest, most = settings.frames
        steps = [h * settings.frame_spacing for h in range(nearest, farthest + 1) if h]
        walk = range(*self._bounds(self.place_of(first)))
        return draw_goals(first, walk, steps, int(rng.integers(fewest, most + 1)), fewest, rng)

    def _refuse_short(self, trajectory: Trajectory) -> None:
        needed = self._settings.fewest_recorded(self.task)
        if len(trajectory) < needed:
            which = f" ({trajectory.stretch})" if trajectory.stretch else ""
            share = "change held_out_fraction, " if which else ""
            raise UserError(
                f"trajectory {trajectory.folder}{which} has {len(trajectory)} frames, and a "
                f"document of source {self.name!r} needs {needed}; {share}lower "
                f"trajectories.frames, frame_spacing or horizon_frames, or {LEAVE_OUT}"
            )
