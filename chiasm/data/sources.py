"""The sources that a recipe names: settings, construction and the held-out share."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from chiasm.actions import ActionFormat
from chiasm.data.folders import (
    FolderSource,
    ImageTextSource,
    PictureSource,
    QuestionSource,
    Selection,
    TextSource,
)
from chiasm.data.navigation import (
    FrameSource,
    TrajectorySettings,
    TrajectorySource,
    read_trajectories,
)
from chiasm.data.tables import choose_column, open_table
from chiasm.documents import Source
from chiasm.errors import UserError
from chiasm.settings import Settings

if TYPE_CHECKING:
    from datasets import Dataset

    from chiasm.worlds import Split, World
    from chiasm.worlds.instructions import InstructedWalks

_IMAGE_COLUMNS = ("image", "file_name", "jpg", "png", "webp", "img", "picture", "path")
_TEXT_COLUMNS = ("text", "caption", "txt", "content", "sentence", "description", "label")
_CHARACTERS_PER_POSITION = 2


class SourceSettings(Settings):
    """One named source of a run."""

    kind: Literal["world", "text", "image_text", "vqa", "trajectories"]
    """The embedded world, or users' files: texts, picture and text, question and answer, recorded
    walks with poses."""
    weight: float = Field(1.0, gt=0)
    """Share of the positions, relative to the other sources' weights."""
    task: str = ""
    """world: which of its tasks (text, image_text, video, action_video, vqa, instructions);
    trajectories: video or action_video."""
    path: str = ""
    """Other kinds: a folder, a file, or a dataset's name on the hub."""
    image_column: str = ""
    """Column with pictures (paths, bytes or files); empty: the first with a usual name."""
    text_column: str = ""
    """Column with the text or caption; empty: the first with a usual name."""
    question_column: str = "question"
    """vqa: column with the question."""
    answer_column: str = "answer"
    """vqa: column with the answer."""
    document_characters: int = Field(0, ge=0)
    """text: longer texts are cut at paragraphs or lines; 0: twice the positions of a row."""
    held_out_fraction: float = Field(0.05, gt=0, lt=1)
    """Share that training never sees, chosen by a hash of the picture's file or of the text; of
    trajectories, whole ones. The world holds out whole maps instead."""
    trajectories: TrajectorySettings = TrajectorySettings()
    """trajectories: which frames make a document."""


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
    ``actions``: how steps are written, where a source has any.

    Raises:
        UserError: a setting that is missing, a path that cannot be read, a column that is not
            there (the message lists those that are), a split without documents.
    """
    return {
        name: _build(name, source, split, row_positions, world, walks, actions or ActionFormat())
        for name, source in settings.items()
    }


def build_picture_source(name: str, settings: SourceSettings, split: Split) -> Source:
    """The pictures of a users' source alone, its train or held-out part; no captions are needed.

    Raises:
        UserError: as :func:`build_sources`.
    """
    if settings.kind == "trajectories":
        frames = settings.model_copy(update={"task": "video"})
        return FrameSource(_trajectory_source(name, frames, split, ActionFormat()))
    table = _open(name, settings)
    column = choose_column(
        table, f"stream.sources.{name}.image_column", settings.image_column, _IMAGE_COLUMNS
    )
    return _held_out(PictureSource(name, table, column, _root(settings)), settings, split)


def sample_texts(sources: Mapping[str, Source], characters: int) -> Iterator[str]:
    """Texts of evenly spaced documents, about the same number of characters of each source."""
    for source in sources.values():
        left = characters // len(sources)
        # A stride coprime to the length visits every document once, from all over the source.
        stride = _coprime_near(len(source), len(source) * 0.618)
        for step in range(len(source)):
            if left <= 0:
                break
            text = source[step * stride % len(source)].text
            left -= len(text)
            yield text


def _build(
    name: str,
    settings: SourceSettings,
    split: Split,
    row_positions: int,
    world: World | None,
    walks: InstructedWalks | None,
    actions: ActionFormat,
) -> Source:
    if settings.kind == "world":
        return _of_world(name, settings, world, walks, actions)
    if settings.kind == "trajectories":
        return _trajectory_source(name, settings, split, actions)
    return _held_out(_folder_source(name, settings, row_positions), settings, split)


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


def _trajectory_source(
    name: str, settings: SourceSettings, split: Split, actions: ActionFormat
) -> TrajectorySource:
    own = settings.trajectories
    found = read_trajectories(name, settings.path, own, settings.held_out_fraction, split)
    return TrajectorySource(name, settings.task, found, own, actions)


def _open(name: str, settings: SourceSettings) -> Dataset:
    setting = f"stream.sources.{name}.path"
    if not settings.path:
        raise UserError(f"{setting} is empty; give a folder, a file or a hub name")
    return open_table(settings.path, setting, prefer_text=settings.kind == "text")


def _root(settings: SourceSettings) -> Path:
    """What paths of pictures are relative to."""
    path = Path(settings.path)
    return path if path.is_dir() else path.parent


def _folder_source(name: str, settings: SourceSettings, row_positions: int) -> FolderSource:
    where = f"stream.sources.{name}"
    table = _open(name, settings)

    def column(which: str, usual: tuple[str, ...] = ()) -> str:
        setting = f"{which}_column"
        return choose_column(table, f"{where}.{setting}", getattr(settings, setting), usual)

    folder = _root(settings)
    if settings.kind == "text":
        characters = settings.document_characters or _CHARACTERS_PER_POSITION * row_positions
        texts = TextSource(name, table, column("text", _TEXT_COLUMNS), characters)
        if not len(texts):
            unit = "files" if table.info.builder_name == "text" else "rows"
            raise UserError(
                f"{where}.path = {settings.path!r} has no text in any of its {len(table)} {unit}"
            )
        return texts
    if table.info.builder_name == "imagefolder" and table.column_names == ["image"]:
        raise UserError(_without_captions(settings, f"{where}.path"))
    image = column("image", _IMAGE_COLUMNS)
    if settings.kind == "image_text":
        return ImageTextSource(name, table, image, column("text", _TEXT_COLUMNS), folder)
    return QuestionSource(name, table, image, column("question"), column("answer"), folder)


def _without_captions(settings: SourceSettings, setting: str) -> str:
    words = {settings.text_column or "text": "a red barn in the snow"}
    if settings.kind == "vqa":
        words = {settings.question_column: "is it a barn?", settings.answer_column: "yes"}
    line = json.dumps({settings.image_column or "file_name": "barn.jpg", **words})
    return (
        f"{setting} = {settings.path!r} holds pictures, but no captions were found; write "
        f"metadata.jsonl in it, with a line for each picture: {line}"
    )


def _held_out(source: FolderSource, settings: SourceSettings, split: Split) -> Source:
    held_out = source.held_out_draw() < settings.held_out_fraction
    indices = np.flatnonzero(held_out if split == "held_out" else ~held_out)
    if not len(indices):
        raise UserError(
            f"stream.sources.{source.name}.held_out_fraction = {settings.held_out_fraction} "
            f"leaves no {split} documents of {len(source)}; change it, or give more data"
        )
    return Selection(source, indices)


def _coprime_near(length: int, wish: float) -> int:
    stride = max(1, round(wish))
    while np.gcd(stride, length) != 1:
        stride += 1
    return stride
