"""The kinds ``world`` and ``freedoom`` of sources: their settings.

Naming them needs no engine; opening one imports what renders it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from pydantic import Field

from chiasm.capabilities import ActionVideos
from chiasm.data.asking import Asking, answering, captioning, hearing, sounding, writing
from chiasm.data.navigation import FrameSettings, TrajectorySettings
from chiasm.data.recorded import RecordedSettings
from chiasm.data.source import (
    SOURCES,
    Opened,
    Opening,
    SourceFacts,
    SourceSettings,
    Steps,
    check_task,
)
from chiasm.documents import Source, Split, question_prompt
from chiasm.errors import UserError
from chiasm.settings import Settings
from chiasm.worlds.instructions.settings import INSTRUCTIONS, InstructionSettings
from chiasm.worlds.settings import INVERSE, SOUND_TASKS, TASKS, WorldSettings

if TYPE_CHECKING:
    from chiasm.worlds.world import World

Own = TypeVar("Own", bound=Settings)

_TASKS = (*TASKS, *SOUND_TASKS, INVERSE, INSTRUCTIONS)
_FREEDOOM = "bsd-3-clause"
"""License of Freedoom, whose textures and maps are seen."""
_ASKING = ("vqa", "aqa")
_ASKED = {
    "text": (writing("story:"),),
    "image_text": captioning("a bright room with brick walls, grass on the floor and sky above."),
    "vqa": (answering("what is the wall made of?"),),
    "sound_text": (sounding("sound: a bell rings in the middle, near."), hearing("caption:")),
    "aqa": (hearing(question_prompt("is there a bell?")),),
}
"""Task → how a model of its documents is asked."""
_WITHOUT_PICTURES = ("text", "sound_text", "aqa")


@SOURCES.register
class WorldSourceSettings(SourceSettings):
    """Documents of the embedded world; the recipe's tables ``world`` and ``instructions`` say how
    large it is. It holds out whole maps."""

    kind: Literal["world"] = "world"
    task: str = ""
    """text, image_text, video, action_video, inverse_dynamics, vqa or instructions; with
    world.sounds = true also sound_text, image_sound, action_video_sound or aqa."""
    loss: Literal["all", "answers"] = "all"
    """Texts that are learned: ``all``, or, of vqa and aqa, ``answers`` and their ends alone."""

    is_made: ClassVar[bool] = True
    usual_license: ClassVar[str] = _FREEDOOM

    @property
    def has_pictures(self) -> bool:
        """Whether documents have images: stories and sounds with words alone have none."""
        return self.task not in _WITHOUT_PICTURES

    @property
    def prompts(self) -> Mapping[str, str]:
        """Words like those of the task's documents."""
        return {each.field: each.words for each in self.asked if each.field}

    @property
    def only_answers(self) -> bool:
        """Whether prompts are not learned."""
        return self.loss == "answers"

    @property
    def asked(self) -> tuple[Asking, ...]:
        """How a model of this task is asked."""
        return _ASKED.get(self.task, ())

    def check(self) -> None:
        """Refuses an unknown task, and a loss on answers where nothing asks.

        Raises:
            UserError: as described.
        """
        check_task(self, self.task, _TASKS)
        if self.only_answers and self.task not in _ASKING:
            remedy = f"set task to one of {', '.join(_ASKING)}, or leave it out"
            raise self.error("loss", f"needs questions, and task is {self.task!r}", remedy)

    def open(self, name: str, opening: Opening) -> Opened:
        """Returns both splits, rendered if the cache lacks them."""
        return _opened(*(self._source(self.task, opening, split) for split in Split))

    def open_pictures(
        self, name: str, opening: Opening, *, side: tuple[str, int], captioned: bool
    ) -> Opened:
        """Returns both splits with their ground truth, whatever the task."""
        own, (setting, pixels) = world_of(opening.tables).image_pixels, side
        if own != pixels:
            raise UserError(
                f"{setting} = {pixels}, but world.image_pixels = {own}; make them equal"
            )
        return _opened(*(self._source("image_text", opening, split) for split in Split))

    def open_views(self, name: str, opening: Opening) -> ActionVideos:
        """Returns the held-out maps, the same for every task."""
        from chiasm.worlds.sources import WorldSource

        world = _rendered(opening, Split.HELD_OUT)
        return opening.once(
            "views of the world",
            lambda: WorldSource(world, "action_video", actions=opening.actions),
        )

    def steps(self, tables: Mapping[str, Settings]) -> Steps | None:
        """Returns the shape of the steps between views, and of instructed walks."""
        if self.task in ("action_video", INVERSE):
            world, inverse = world_of(tables), self.task == INVERSE
            return Steps(world.action_video_frames[1], world.horizon_frames, inverse=inverse)
        if self.task == INSTRUCTIONS:
            spoken = _table(tables, "instructions", InstructionSettings)
            views = spoken.views or spoken.steps[1] + 1
            return Steps(views, spoken=True, stretch=spoken.views)
        return None

    def _source(self, task: str, opening: Opening, split: Split) -> Source:
        from chiasm.worlds.instructions.rendered import render_instructions
        from chiasm.worlds.instructions.source import InstructionSource
        from chiasm.worlds.sound_source import SoundSource
        from chiasm.worlds.sources import WorldSource

        if task in SOUND_TASKS:
            if not world_of(opening.tables).sounds:
                raise self.error("task", "needs a world with sounds", "set world.sounds = true")
            return SoundSource(_rendered(opening, split), task, actions=opening.actions)
        if task != INSTRUCTIONS:
            return WorldSource(_rendered(opening, split), task, actions=opening.actions)
        walks = opening.once(
            ("instructions", split),
            lambda: render_instructions(
                world_of(opening.tables),
                _table(opening.tables, "instructions", InstructionSettings),
                split,
                **_kept(opening, split, "instructions"),
            ),
        )
        return InstructionSource(walks)


@SOURCES.register
class FreedoomSettings(SourceSettings):
    """Action videos of walks through the maps that come with the engine: another domain."""

    kind: Literal["freedoom"] = "freedoom"
    maps: int = Field(24, ge=1)
    """The first so many."""
    walks_per_map: int = Field(4, ge=1)
    """Recorded on each of them."""
    frames_per_walk: int = Field(12, ge=2)
    """Frames of each walk."""
    held_out_fraction: float = Field(0.8, gt=0, lt=1)
    """Share of the walks that training never sees."""
    trajectories: FrameSettings = FrameSettings(frames=(2, 2), horizon_frames=(1, 1))
    """Which frames make a document."""

    is_made: ClassVar[bool] = True
    usual_license: ClassVar[str] = _FREEDOOM

    def open(self, name: str, opening: Opening) -> Opened:
        """Returns both splits, recorded into the cache first."""
        return self._recorded(opening).open(name, opening)

    def open_views(self, name: str, opening: Opening) -> ActionVideos:
        """Returns the held-out walks."""
        return self._recorded(opening).open_views(name, opening)

    def steps(self, tables: Mapping[str, Settings]) -> Steps:
        """Returns the shape of the steps."""
        return Steps(self.trajectories.frames[1], self.trajectories.horizon_frames)

    def _recorded(self, opening: Opening) -> RecordedSettings:
        from chiasm.worlds.freedoom import record_freedoom

        pixels = world_of(opening.tables).image_pixels
        sizes = self.maps, self.walks_per_map, self.frames_per_walk, pixels
        folder = opening.cache_folder / "freedoom" / "-".join(map(str, sizes))
        record_freedoom(folder, *sizes, seed=0)
        return RecordedSettings(
            path=str(folder),
            task="action_video",
            held_out_fraction=self.held_out_fraction,
            trajectories=TrajectorySettings(**self.trajectories.model_dump()),
        )


def world_of(tables: Mapping[str, Settings]) -> WorldSettings:
    """Returns the recipe's table ``world``."""
    return _table(tables, "world", WorldSettings)


def _table(tables: Mapping[str, Settings], name: str, kind: type[Own]) -> Own:
    own = tables.get(name, kind())
    assert isinstance(own, kind)
    return own


def _rendered(opening: Opening, split: Split) -> World:
    from chiasm.worlds.render import render_worlds

    return opening.once(
        ("world", split),
        lambda: render_worlds(world_of(opening.tables), split, **_kept(opening, split, "worlds")),
    )


def _kept(opening: Opening, split: Split, what: str) -> dict[str, Any]:
    """Returns a rendering's folder, callback for progress, and number of processes."""
    return {
        "cache_folder": opening.cache_folder / "worlds",
        "progress": partial(opening.on_stage, f"{split.value.replace('_', '-')} {what}"),
        "num_processes": opening.processes,
    }


def _opened(train: Source, held_out: Source) -> Opened:
    count, held = len(train) + len(held_out), len(held_out)
    facts = SourceFacts("world", count, count, held, origin="the embedded world")
    return Opened(train, held_out, facts)
