"""The sources of a world, one kind of document each; every document names its task
in words.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np

from chiasm.actions import ActionFormat
from chiasm.data.goals import (
    action_video,
    draw_goals,
    inverse_dynamics,
    there_and_back,
    video,
)
from chiasm.documents import CAPTION_PROMPT, PICTURE_PROMPT, Document, Image, Text
from chiasm.poses import Pose
from chiasm.worlds.camera import WorldCamera
from chiasm.worlds.captions import caption, caption_facts
from chiasm.worlds.maps import generate_map
from chiasm.worlds.narration import story
from chiasm.worlds.questions import Balance, Question, all_questions, questions
from chiasm.worlds.settings import HELD_OUT_FIRST_SEED, INVERSE, SOUND_TASKS, TASKS, map_seed
from chiasm.worlds.sight import in_sight
from chiasm.worlds.world import World

CAPTIONS_PER_VIEW = 4
"""Phrasings drawn for each frame; a training step of a tokenizer uses one of them."""
_CAPTION_PURPOSE = 91
"""Separates the random numbers of these captions from those of documents."""
_PARTS = {
    "text": frozenset[bool](),
    "image_text": frozenset({False, True}),
    "video": frozenset({True}),
    "action_video": frozenset({False, True}),
    "vqa": frozenset({False}),
    "sound_text": frozenset[bool](),
    "image_sound": frozenset({False, True}),
    "action_video_sound": frozenset({False, True}),
    "aqa": frozenset[bool](),
    INVERSE: frozenset({False}),
}
_VARIANTS = 16
"""Documents made of one frame or walk start, with other phrasings, questions and lengths."""


class WorldSource:
    """Documents of one task over one world.

    ``source[i]`` is a function of the world, the task, ``seed`` and ``i``. Consecutive documents
    come from scattered maps; every frame is used once before any is used again. Stories are about a
    million maps of the world's split, of which only the first ones are rendered. ``actions`` is the
    format of the steps in action videos. Whatever the task, the source has its frames, their ground
    truth and the walks among them.
    """

    scattered = True

    def __init__(
        self, world: World, task: str, seed: int = 0, actions: ActionFormat | None = None
    ) -> None:
        self.world = world
        self.name = task
        self._actions = actions or ActionFormat()
        self._key = [seed, (*TASKS, *SOUND_TASKS, INVERSE).index(task)]
        self._make: Callable[[int, np.random.Generator], Document] = getattr(self, f"_{task}")
        self._items = self._first_frames()
        self._order = np.random.default_rng([*self._key, 1]).permutation(len(self._items))

    def __len__(self) -> int:
        return HELD_OUT_FIRST_SEED if self.name == "text" else len(self._items) * _VARIANTS

    def __getitem__(self, index: int) -> Document:
        if not 0 <= index < len(self):
            raise IndexError(f"document {index} of {len(self)}")
        rng = np.random.default_rng([*self._key, index, 2])
        return self._make(index if self.name == "text" else self.frame_of(index), rng)

    @property
    def shown_as(self) -> frozenset[bool]:
        """Values of ``Image.target`` of the frames in its documents."""
        return _PARTS[self.name]

    def frame_of(self, index: int) -> int:
        """Returns the first frame of document ``index``; its View is ``world.views[frame]``."""
        return int(self._items[self._order[index % len(self._order)]])

    def cluster_of(self, index: int) -> int:
        """Returns the seed of the document's map; every story has a map of its own."""
        return index if self.name == "text" else self.place_of(self.frame_of(index))

    def question_kinds(self, index: int) -> list[str]:
        """Returns the kinds of document ``index``'s questions; none for tasks other
        than ``vqa``.
        """
        return [question.kind for question in self.questions_of(index)]

    def questions_of(self, index: int) -> list[Question]:
        """Returns the questions of document ``index``; none for other tasks than ``vqa``."""
        if self.name != "vqa":
            return []
        return self._ask(self.frame_of(index), np.random.default_rng([*self._key, index, 2]))

    @property
    def frames(self) -> np.ndarray:
        """All frames of the world, uint8 [M, side, side, 3], on disk."""
        return self.world.frames

    @property
    def num_frames(self) -> int:
        """M, the number of frames."""
        return len(self.world)

    @property
    def frames_name(self) -> str:
        """Name of the world's frames, which all its tasks share."""
        return f"{self.world.split.value} world"

    @property
    def frames_told(self) -> str:
        """Description of the world's settings."""
        settings, split = self.world.settings, self.world.split
        return f"embedded world, seed {settings.seed}, {settings.num_maps(split)} {split} maps"

    @property
    def clear_frames(self) -> np.ndarray:
        """Numbers of the frames about which captions and questions are unambiguous."""
        return self.world.clear_frames

    def facts(self, frame: int) -> dict[str, str]:
        """Returns attribute → value of all that a caption of the frame may name."""
        return caption_facts(self.world.views[frame])

    def captions(self, frame: int) -> tuple[str, ...]:
        """Returns some captions of a frame, always the same ones."""
        view = self.world.views[frame]
        key = [self.world.settings.seed, _CAPTION_PURPOSE, view.map_seed, frame]
        rng = np.random.default_rng(key)
        return tuple(caption(view, rng) for _ in range(CAPTIONS_PER_VIEW))

    def objects(self, frame: int) -> list[tuple[str, tuple[float, float, float, float]]]:
        """Returns each visible object's kind and its left, top, right, bottom in image shares."""
        return [(seen.name, seen.box) for seen in self.world.views[frame].objects]

    @property
    def views(self) -> list[range]:
        """The frames of each map."""
        count = self.world.settings.frames_per_map
        return [range(first, first + count) for first in range(0, len(self.world), count)]

    def view_name(self, frame: int) -> str:
        """Returns the number of its map and of the view in that map, as text."""
        number, view = divmod(frame, self.world.settings.frames_per_map)
        return f"map {number}, view {view}"

    def camera(self) -> WorldCamera:
        """Returns the engine as a camera in the world's maps."""
        return WorldCamera(self.world.settings, self.world.split)

    def in_sight(self, place: int, viewer: Pose, goal: Pose) -> bool:
        """Returns whether ``goal`` lies in the image from ``viewer``: walls alone can hide it."""
        return in_sight(generate_map(self.world.settings.seed, place), viewer, goal)

    @property
    def walks(self) -> list[range]:
        """Frame numbers of each walk, the nearest horizon apart."""
        return [walk[:: self.world.settings.horizon_frames[0]] for walk in self.world.walks]

    def picture(self, frame: int) -> Image:
        """Returns one frame, as context."""
        return Image(self.world.frames[frame], target=False)

    def action(self, before: int, after: int) -> str:
        """Returns the text of the step between two frames of one walk."""
        return self._actions.write(self.world.step(before, after).action)

    def pose(self, frame: int) -> Pose:
        """Returns the pose at which one frame was taken."""
        return self.world.views[frame].pose

    def place_of(self, frame: int) -> int:
        """Returns the seed of the frame's map."""
        return int(self.world.map_of_frame[frame])

    def _first_frames(self) -> np.ndarray:
        """Returns the frames that a document of this task may start with; none for stories."""
        if self.name == "text":
            return np.array([], int)
        if self.name in ("image_text", "vqa"):
            return self.world.clear_frames
        settings = self.world.settings
        fewest, apart = settings.video_frames[0], 1
        if self.name == INVERSE or self.name.startswith("action_video"):
            fewest, apart = settings.action_video_frames[0], settings.horizon_frames[0]
        last = settings.frames_per_walk - (fewest - 1) * apart
        return np.array([frame for walk in self.world.walks for frame in walk[:last]])

    def _left(self, frame: int) -> int:
        """Returns the number of frames of the walk behind one of its frames."""
        settings = self.world.settings
        place = frame % settings.frames_per_map - settings.views_per_map
        return settings.frames_per_walk - 1 - place % settings.frames_per_walk

    def _text(self, number: int, rng: np.random.Generator) -> Document:
        world_map = generate_map(self.world.settings.seed, map_seed(self.world.split, number))
        return Document((Text(story(world_map, rng)),))

    def _image_text(self, frame: int, rng: np.random.Generator) -> Document:
        words = caption(self.world.views[frame], rng)
        pixels = self.world.frames[frame]
        if rng.random() < 0.5:
            return Document((Image(pixels, target=False), Text(f"{CAPTION_PROMPT} {words}")))
        return Document((Text(f"{PICTURE_PROMPT} {words}"), Image(pixels, target=True)))

    def _video(self, first: int, rng: np.random.Generator) -> Document:
        fewest, most = self.world.settings.video_frames
        count = int(rng.integers(fewest, min(most, self._left(first) + 1) + 1))
        window = range(first, first + count)
        return video(self, window)

    def _action_video(self, first: int, rng: np.random.Generator) -> Document:
        settings = self.world.settings
        if settings.returns and rng.random() < settings.returns:
            most = (settings.action_video_frames[1] - 1) // 2
            way = [first, *self._goals(first, rng, (2, most + 1))]
            return action_video(self, there_and_back(way))
        return action_video(self, [first, *self._goals(first, rng)])

    def _inverse_dynamics(self, first: int, rng: np.random.Generator) -> Document:
        return inverse_dynamics(self, first, self._goals(first, rng)[0])

    def _goals(
        self, first: int, rng: np.random.Generator, count: tuple[int, int] | None = None
    ) -> list[int]:
        """Returns frames at random horizons, each from the one before, within the walk.

        ``count``: fewest and most frames with the first; None: of an action video.
        """
        settings, left = self.world.settings, self._left(first)
        fewest, most = count or settings.action_video_frames
        nearest, farthest = settings.horizon_frames
        frames = int(rng.integers(fewest, min(most, left // nearest + 1) + 1))
        walk, steps = range(first, first + left + 1), range(nearest, farthest + 1)
        return draw_goals(first, walk, steps, frames, frames, rng)

    def _vqa(self, frame: int, rng: np.random.Generator) -> Document:
        asked = (span for question in self._ask(frame, rng) for span in question.spans)
        return Document((Image(self.world.frames[frame], target=False), *asked))

    def _ask(self, frame: int, rng: np.random.Generator) -> list[Question]:
        return questions(self.world.views[frame], rng, self._balance)

    @cached_property
    def _balance(self) -> Balance:
        return Balance(map(all_questions, self.world.views))
