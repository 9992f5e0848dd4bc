"""Documents of recorded episodes: plain videos, and videos with the controls between their frames.

[Image(context), "action: steering=+0.47 throttle=0.50", Image(target), "action: ...", ...]. A step
leads to the next frame that counts; where several recorded frames lie between, it says what was
given over all of them.

Shape suffixes: N frames of a source, A controls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from chiasm.actions import ActionFormat
from chiasm.controls import ControlSettings
from chiasm.data.episodes import Episode
from chiasm.data.goals import action_video, inverse_dynamics, video
from chiasm.data.numbered import NumberedFrames, SpacedFrames
from chiasm.documents import Document, Image, Text
from chiasm.errors import UserError


class StretchSettings(SpacedFrames):
    """Which frames of a recorded episode make a document, and what its steps say."""

    between: Literal["mean", "last"] = "mean"
    """What a step over several recorded frames says: the mean of the controls given at them, as of
    speeds, or the last, as of positions that are aimed at."""

    @property
    def fewest_recorded(self) -> int:
        """Recorded frames that the shortest document needs."""
        return (self.frames[0] - 1) * self.frame_spacing + 1

    @property
    def longest_reach(self) -> int:
        """Distance between the first and last frame of the longest document, in recorded frames."""
        return (self.frames[1] - 1) * self.frame_spacing


class EpisodeSource(NumberedFrames):
    """Documents of one task over some episodes.

    ``source[i]`` is a function of the episodes, the settings and ``i``; a first frame recurs with
    another length. No document crosses a frame whose controls cannot be used.

    Raises:
        UserError: every episode is too short for a document.
    """

    def __init__(
        self,
        name: str,
        task: str,
        episodes: Sequence[Episode],
        controls: Mapping[str, ControlSettings],
        settings: StretchSettings,
        actions: ActionFormat,
        recorded_per_second: float | None,
    ) -> None:
        super().__init__(name, task, map(len, episodes))
        self.episodes = tuple(episodes)
        self._controls, self._settings, self._actions = controls, settings, actions
        self._per_second = recorded_per_second
        self._controls_NA = np.concatenate([each.controls_TA for each in episodes])
        self._farthest_N = self._farthest()
        numbers_N = np.arange(self.num_frames)
        reached_N = self._farthest_N - numbers_N + 1
        self._starts = numbers_N[reached_N >= settings.fewest_recorded]
        if not len(self._starts):
            raise UserError(
                f": no episode of source {name!r} is long enough: the longest stretch has "
                f"{reached_N.max()} frames, and a document needs {settings.fewest_recorded}",
                setting="frames",
                remedy="lower frames or frame_spacing",
            )

    def __len__(self) -> int:
        fewest, most = self._settings.frames
        return len(self._starts) * (most - fewest + 1)

    def __getitem__(self, index: int) -> Document:
        if not 0 <= index < len(self):
            raise IndexError(f"document {index} of {len(self)}")
        first, spacing = self.frame_of(index), self._settings.frame_spacing
        wanted = self._settings.frames[0] + index // len(self._starts)
        possible = (int(self._farthest_N[first]) - first) // spacing + 1
        frames = range(first, first + spacing * min(wanted, possible), spacing)
        if self.task == "action_video":
            return action_video(self, frames)
        if self.task == "inverse_dynamics":
            return inverse_dynamics(self, *frames[:2])
        document, words = video(self, frames), self.task_of(first)
        return Document((Text(f"video: {words}"), *document.spans[1:])) if words else document

    @property
    def told(self) -> str:
        """Numbers of episodes and frames."""
        many = "episode" if len(self.episodes) == 1 else "episodes"
        return f"{len(self.episodes)} {many}, {self.num_frames:,} frames"

    @property
    def controls_told(self) -> str:
        """Names, ranges and units of the controls, and how they are written."""
        return ", ".join(f"{name} ({own.told})" for name, own in self._controls.items())

    @property
    def notes(self) -> tuple[str, ...]:
        """A note for each control that is always the same, or that is written as if it were."""
        found = []
        for number, (name, own) in enumerate(self._controls.items()):
            values_N = self._controls_NA[:, number]
            values_N = values_N[np.isfinite(values_N)]
            if not len(values_N):
                continue
            kinds = len(np.unique(np.round(values_N, own.decimals)))
            if kinds == 1 and np.ptp(values_N) > 0:
                found.append(
                    f"{name} varies by {np.ptp(values_N):g} and is always written alike: raise "
                    f"actions.controls.{name}.decimals"
                )
            elif kinds == 1:
                found.append(f"{name} is always {values_N[0]:g}")
        return tuple(found)

    @property
    def frames_per_second(self) -> float | None:
        """Rate of the frames that count; None where the recording does not tell it."""
        return None if self._per_second is None else self._per_second / self._settings.frame_spacing

    @property
    def walks(self) -> list[range]:
        """Frames of each stretch without an unusable step, the spacing apart."""
        spacing, found, begin = self._settings.frame_spacing, [], 0
        while begin < self.num_frames:
            end = int(self._farthest_N[begin]) + 1
            if end - begin > spacing:
                found.append(range(begin, end, spacing))
            begin = end
        return found

    def picture(self, frame: int) -> Image:
        """Returns one frame, as context."""
        number, own = self._placed(frame)
        return Image(self.episodes[number].frames[own], target=False)

    def action(self, before: int, after: int) -> str:
        """Returns the text of the controls that led from one frame of an episode to a later one."""
        return self._actions.write_controls(self.controls(before, after))

    def controls(self, before: int, after: int) -> dict[str, float]:
        """Returns the controls that led from one frame of an episode to a later one, by name."""
        given_XA = self._controls_NA[before:after]
        own_A = given_XA[-1] if self._settings.between == "last" else given_XA.mean(0)
        return dict(zip(self._controls, own_A.tolist(), strict=True))

    def last_controls(self, frame: int) -> dict[str, float]:
        """Returns the controls that were given at a frame."""
        return dict(zip(self._controls, self._controls_NA[frame].tolist(), strict=True))

    def task_of(self, frame: int) -> str:
        """Returns the task of the frame's episode in words; empty where it has none."""
        return self.episodes[self.place_of(frame)].task

    def _farthest(self) -> np.ndarray:
        """Returns the last frame that can be reached from each: int64 [N].

        A frame whose controls cannot be used can be reached, and leads nowhere.
        """
        lengths = [len(episode) for episode in self.episodes]
        last_N = np.repeat(self._ends - 1, lengths)
        if self.task == "video":
            return last_N
        bad_N = ~np.isfinite(self._controls_NA).all(1)
        numbers_N = np.where(bad_N, np.arange(len(bad_N)), len(bad_N))
        next_bad_N = np.minimum.accumulate(numbers_N[::-1])[::-1]
        return np.minimum(last_N, next_bad_N)


class FramesAlone:
    """The frames of episodes, one per document, without controls."""

    def __init__(self, source: EpisodeSource) -> None:
        self.name = source.name
        self._source = source

    def __len__(self) -> int:
        return self._source.num_frames

    def __getitem__(self, index: int) -> Document:
        return Document((self._source.picture(index),))
