"""The five sources of a world: one kind of document each, every task named in words."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np

from chiasm.actions import ActionFormat
from chiasm.documents import Document, Image, Text
from chiasm.errors import UserError
from chiasm.poses import Pose
from chiasm.worlds.captions import caption
from chiasm.worlds.maps import generate_map
from chiasm.worlds.narration import story
from chiasm.worlds.questions import Balance, Question, questions
from chiasm.worlds.world import HELD_OUT_FIRST_SEED, World, map_seed

TASKS = ("text", "image_text", "video", "action_video", "vqa")
_PARTS = {
    "text": frozenset[bool](),
    "image_text": frozenset({False, True}),
    "video": frozenset({True}),
    "action_video": frozenset({False, True}),
    "vqa": frozenset({False}),
}
_VARIANTS = 16
"""Documents made of one frame or walk start, with other phrasings, questions and lengths."""


class WorldSource:
    """Documents of one task over one world.

    ``source[i]`` is a function of the world, the task, ``seed`` and ``i``. Consecutive documents
    come from scattered maps; every frame is used once before any is used again. Stories are told
    of a million maps of the world's split, of which only the first ones are rendered. ``actions``
    is how action videos write their steps.
    """

    def __init__(
        self, world: World, task: str, seed: int = 0, actions: ActionFormat | None = None
    ) -> None:
        if task not in TASKS:
            raise UserError(f"task {task!r} is unknown: choose one of {', '.join(TASKS)}")
        self.world = world
        self.name = task
        self._actions = actions or ActionFormat()
        self._key = [seed, TASKS.index(task)]
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
        """Which parts the frames play in its documents: ``Image.target`` of all of them."""
        return _PARTS[self.name]

    def frame_of(self, index: int) -> int:
        """The frame that document ``index`` starts with; its View is ``world.views[frame]``."""
        return int(self._items[self._order[index % len(self._order)]])

    def cluster_of(self, index: int) -> int:
        """The seed of the document's map; every story has a map of its own."""
        return index if self.name == "text" else self.place_of(self.frame_of(index))

    def questions_of(self, index: int) -> list[Question]:
        """What document ``index`` of the task ``vqa`` asks."""
        return self._ask(self.frame_of(index), np.random.default_rng([*self._key, index, 2]))

    @property
    def walks(self) -> list[range]:
        """Frame numbers of each walk, the nearest horizon apart."""
        return [walk[:: self.world.settings.horizon_frames[0]] for walk in self.world.walks]

    def picture(self, frame: int) -> Image:
        """One frame, as context."""
        return Image(self.world.frames[frame], target=False)

    def action(self, before: int, after: int) -> str:
        """The text of the step between two frames of one walk."""
        return self._actions.write(self.world.step(before, after).action)

    def pose(self, frame: int) -> Pose:
        """Where one frame was taken."""
        return self.world.views[frame].pose

    def place_of(self, frame: int) -> int:
        """The seed of the frame's map."""
        return int(self.world.map_of_frame[frame])

    def _first_frames(self) -> np.ndarray:
        """The frames that a document of this task may start with; none for stories."""
        if self.name == "text":
            return np.array([], int)
        if self.name in ("image_text", "vqa"):
            return self.world.clear_frames
        settings = self.world.settings
        fewest, apart = settings.video_frames[0], 1
        if self.name == "action_video":
            fewest, apart = settings.action_video_frames[0], settings.horizon_frames[0]
        last = settings.frames_per_walk - (fewest - 1) * apart
        return np.array([frame for walk in self.world.walks for frame in walk[:last]])

    def _left(self, frame: int) -> int:
        """Frames of the walk behind one of its frames."""
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
            return Document((Image(pixels, target=False), Text(f"caption: {words}")))
        return Document((Text(f"picture: {words}"), Image(pixels, target=True)))

    def _video(self, first: int, rng: np.random.Generator) -> Document:
        fewest, most = self.world.settings.video_frames
        count = int(rng.integers(fewest, min(most, self._left(first) + 1) + 1))
        window = range(first, first + count)
        frames = (Image(self.world.frames[frame], target=True) for frame in window)
        return Document((Text("video:"), *frames))

    def _action_video(self, first: int, rng: np.random.Generator) -> Document:
        spans: list[Text | Image] = [Image(self.world.frames[first], target=False)]
        before = first
        for frame in self._goals(first, rng):
            picture = Image(self.world.frames[frame], target=True)
            spans += [Text(self.action(before, frame)), picture]
            before = frame
        return Document(tuple(spans))

    def _goals(self, first: int, rng: np.random.Generator) -> list[int]:
        """Frames at random horizons, each from the one before, within the walk."""
        settings = self.world.settings
        (fewest, most), (nearest, farthest) = settings.action_video_frames, settings.horizon_frames
        most = min(most, self._left(first) // nearest + 1)
        goals, here = [], first
        for owed in reversed(range(int(rng.integers(fewest, most + 1)) - 1)):
            room = self._left(here) - owed * nearest
            here += int(rng.integers(nearest, min(farthest, room) + 1))
            goals.append(here)
        return goals

    def _vqa(self, frame: int, rng: np.random.Generator) -> Document:
        asked = (span for question in self._ask(frame, rng) for span in question.spans)
        return Document((Image(self.world.frames[frame], target=False), *asked))

    def _ask(self, frame: int, rng: np.random.Generator) -> list[Question]:
        return questions(self.world.views[frame], rng, self._balance)

    @cached_property
    def _balance(self) -> Balance:
        return Balance(self.world.views)
