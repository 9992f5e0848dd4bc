"""The sources that a recipe names, opened: both sides of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from chiasm.actions import ActionFormat
from chiasm.data.navigation import FrameSource, TrajectorySource, read_trajectories
from chiasm.data.opened import open_folder
from chiasm.data.reading import ReadingLog
from chiasm.data.source import Opened, SourceFacts, SourceSettings
from chiasm.documents import Source
from chiasm.errors import UserError

if TYPE_CHECKING:
    from chiasm.worlds import Split, World
    from chiasm.worlds.instructions import InstructedWalks


def open_sources(
    settings: Mapping[str, SourceSettings], row_positions: int, actions: ActionFormat | None = None
) -> dict[str, Opened]:
    """Open both sides of every source that is no embedded world.

    ``actions``: how steps are written, where a source has any.

    Raises:
        UserError: a setting that is missing, a path that cannot be read, a column that is not
            there (the message lists those that are), a side without documents.
    """
    return {
        name: _open_trajectories(name, source, actions or ActionFormat())
        if source.kind == "trajectories"
        else open_folder(name, source, row_positions)
        for name, source in settings.items()
    }


def build_sources(
    settings: Mapping[str, SourceSettings],
    split: Split,
    row_positions: int,
    world: World | None = None,
    walks: InstructedWalks | None = None,
    actions: ActionFormat | None = None,
) -> dict[str, Source]:
    """Open every named source's train or held-out part.

    ``world`` and ``walks``: the rendered world and instructed walks of the same split, when
    sources of kind ``world`` ask for them.

    Raises:
        UserError: as :func:`open_sources`.
    """
    own = {name: source for name, source in settings.items() if source.kind != "world"}
    opened = open_sources(own, row_positions, actions)
    return {
        name: opened[name].side(split)
        if name in opened
        else _of_world(name, source, world, walks, actions or ActionFormat())
        for name, source in settings.items()
    }


def open_pictures(name: str, settings: SourceSettings) -> Opened:
    """Open the pictures of a users' source alone; no captions are needed.

    Raises:
        UserError: as :func:`open_sources`.
    """
    if settings.kind != "trajectories":
        return open_folder(name, settings, row_positions=1, pictures_alone=True)
    opened = _open_trajectories(name, settings.model_copy(update={"task": "video"}), ActionFormat())
    assert isinstance(opened.train, TrajectorySource)
    assert isinstance(opened.held_out, TrajectorySource)
    return Opened(FrameSource(opened.train), FrameSource(opened.held_out), opened.facts)


def opened_world(train: Source, held_out: Source) -> Opened:
    """Returns both sides of a source of the embedded world with what is told of it."""
    documents = len(train) + len(held_out)
    facts = SourceFacts("world", rows=documents, documents=documents, held_out=len(held_out))
    return Opened(train, held_out, facts)


def sample_texts(sources: Mapping[str, Source], characters: int) -> Iterator[str]:
    """Texts of evenly spaced documents, about the same number of characters of each source."""
    log = ReadingLog()
    for source in sources.values():
        left = characters // len(sources)
        # A stride coprime to the length visits every document once, from all over the source.
        stride = _coprime_near(len(source), len(source) * 0.618)
        numbers = (step * stride % len(source) for step in range(len(source)))
        for _, document in log.documents(source, numbers, pictures=False):
            left -= len(document.text)
            yield document.text
            if left <= 0:
                break


def _of_world(
    name: str,
    settings: SourceSettings,
    world: World | None,
    walks: InstructedWalks | None,
    actions: ActionFormat,
) -> Source:
    from chiasm.worlds import TASKS, WorldSource  # users' own data needs no engine
    from chiasm.worlds.instructions import INSTRUCTIONS, InstructionSource

    if settings.task == INSTRUCTIONS:
        assert walks is not None, "a source of instructions needs the rendered walks"
        return InstructionSource(walks)
    if settings.task not in TASKS:
        raise UserError(
            f"stream.sources.{name}.task = {settings.task!r} is no task of the world; "
            f"choose one of: {', '.join((*TASKS, INSTRUCTIONS))}"
        )
    assert world is not None, "a source of kind 'world' needs the rendered world"
    return WorldSource(world, settings.task, seed=0, actions=actions)


def _open_trajectories(name: str, settings: SourceSettings, actions: ActionFormat) -> Opened:
    from chiasm.worlds import Split

    own = settings.trajectories
    how = settings.held_out_fraction, settings.held_out_path
    train, held_out = (
        TrajectorySource(
            name,
            settings.task,
            read_trajectories(name, settings.path, own, how[0], split, how[1]),
            own,
            actions,
        )
        for split in Split
    )
    facts = SourceFacts(
        kind=settings.kind,
        rows=train.num_frames + held_out.num_frames,
        documents=len(train) + len(held_out),
        held_out=len(held_out),
        files=train.recordings + held_out.recordings,
        notes=(f"training: {train.summary}; held out: {held_out.summary}", *train.notes),
        fingerprint=train.fingerprint,
        held_out_fingerprint=held_out.fingerprint,
    )
    return Opened(train, held_out, facts)


def _coprime_near(length: int, wish: float) -> int:
    stride = max(1, round(wish))
    while np.gcd(stride, length) != 1:
        stride += 1
    return stride
