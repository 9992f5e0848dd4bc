"""The four sources of a world with sounds: what is heard beside words, pictures and actions."""

from __future__ import annotations

from functools import cached_property
from itertools import pairwise

import numpy as np

from chiasm.documents import Continuous, Document, Image, Sound, Text
from chiasm.waveform import Waveform
from chiasm.worlds.captions import sound_caption
from chiasm.worlds.hearing import Hearing
from chiasm.worlds.questions import Balance, Question
from chiasm.worlds.sound_questions import all_sound_questions, sound_questions
from chiasm.worlds.sounds import SAMPLES_PER_SECOND
from chiasm.worlds.sources import WorldSource

_OF_A_SOUND = ("what", "side", "distance")
"""Kinds of questions whose answers are the truth about one sound."""


class SoundSource(WorldSource):
    """Documents of one task over one world with sounds; else as :class:`WorldSource`."""

    def questions_of(self, index: int) -> list[Question]:
        """Returns the questions of document ``index``; none for other tasks than ``aqa``."""
        if self.name != "aqa":
            return []
        return self._ask(self.frame_of(index), np.random.default_rng([*self._key, index, 2]))

    def sound(self, frame: int, *, target: bool = False) -> Sound:
        """Returns one period of what is heard in a frame, of two channels."""
        assert self.world.sounds is not None
        return Sound(Waveform(self.world.sounds[frame], SAMPLES_PER_SECOND), target)

    def hearing(self, frame: int) -> Hearing:
        """Returns the truth of what is heard in a frame."""
        hearing = self.world.views[frame].hearing
        assert hearing is not None
        return hearing

    def heard(self, frame: int) -> dict[str, str]:
        """Returns what the only sound of a frame is, its side and its distance.

        As with questions, there are none where another sound is faint, and no distance that is
        close to the border.
        """
        asked = {each.kind: each.answer for each in all_sound_questions(self.hearing(frame))}
        alone = "what" in asked
        return {kind: asked[kind] for kind in _OF_A_SOUND if alone and kind in asked}

    def _first_frames(self) -> np.ndarray:
        """Returns the frames that a document of this task may start with."""
        if self.name == "action_video_sound":
            return super()._first_frames()
        fits = {
            "sound_text": lambda frame: self.hearing(frame).sounds or self.hearing(frame).silent,
            "image_sound": self._shows_sound,
            "aqa": lambda frame: any(
                question.kind == "side" for question in all_sound_questions(self.hearing(frame))
            ),
        }[self.name]
        return np.flatnonzero([bool(fits(frame)) for frame in range(len(self.world))])

    def _shows_sound(self, frame: int) -> bool:
        """Returns whether a picture shows something that is heard."""
        seen = {one.name for one in self.world.views[frame].objects}
        return any(sound.thing in seen for sound in self.hearing(frame).sounds)

    def _sound_text(self, frame: int, rng: np.random.Generator) -> Document:
        words = sound_caption(self.hearing(frame), rng)
        if rng.random() < 0.5:
            return Document((self.sound(frame, target=False), Text(f"caption: {words}")))
        return Document((Text(f"sound: {words}"), self.sound(frame, target=True)))

    def _image_sound(self, frame: int, rng: np.random.Generator) -> Document:
        pixels = self.world.frames[frame]
        if rng.random() < 0.5:
            view = Image(pixels, target=False)
            return Document((view, Text("sound:"), self.sound(frame, target=True)))
        heard = self.sound(frame, target=False)
        return Document((heard, Text("picture:"), Image(pixels, target=True)))

    def _action_video_sound(self, first: int, rng: np.random.Generator) -> Document:
        frames = [first, *self._goals(first, rng)]
        spans: list[Text | Continuous] = [self.picture(first), self.sound(first, target=False)]
        for before, after in pairwise(frames):
            view = Image(self.world.frames[after], target=True)
            spans += [Text(self.action(before, after)), view, self.sound(after, target=True)]
        return Document(tuple(spans))

    def _aqa(self, frame: int, rng: np.random.Generator) -> Document:
        asked = (span for question in self._ask(frame, rng) for span in question.spans)
        return Document((self.sound(frame, target=False), *asked))

    def _ask(self, frame: int, rng: np.random.Generator) -> list[Question]:
        return sound_questions(self.hearing(frame), rng, self._balance)

    @cached_property
    def _balance(self) -> Balance:
        return Balance(all_sound_questions(self.hearing(n)) for n in range(len(self.world)))
