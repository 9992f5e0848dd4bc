"""Requests of the page and their answers, without HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import Field

from chiasm.actions import PREFIX
from chiasm.errors import UserError
from chiasm.inference.request import LEAST_GUIDANCE, MOST_GUIDANCE
from chiasm.loopback.bodies import read_body, read_file
from chiasm.settings import Settings
from chiasm.walk.commands import read_command
from chiasm.walk.pictures import data_url, png
from chiasm.walk.starts import Start, Starts, given_picture
from chiasm.walk.walker import Frame, Walker
from chiasm.walk.walks import Walk, Walks
from chiasm.worldmodel.sheet import Strip, contact_sheet

STARTS_AT_ONCE = 24
SHEET_COLUMNS = 8


class Begin(Settings):
    """A request for a walk: from one of the run's views, a picture, or the page's own start."""

    start: int | None = Field(None, ge=0)
    picture: str | None = None
    """A picture file's content in base64."""
    name: str = Field("a picture", max_length=200)
    """Of the picture."""
    truth: bool = False
    """Whether the true view is asked for."""


class Step(Settings):
    """A request for the next frame."""

    typed: str
    after: int = Field(ge=1)
    """Frames that the page knows."""
    seed: int = Field(0, ge=0, lt=2**31)
    guidance: float = Field(1.0, ge=LEAST_GUIDANCE, le=MOST_GUIDANCE)
    number: int = 1
    """Which view of an instruction it is."""
    of: int = 1
    truth: bool = False


class Keep(Settings):
    """A request to remove the last frames until ``count`` are left."""

    count: int
    after: int


@dataclass(frozen=True)
class Opening:
    """Content of the page when it opens.

    Args:
        title: title of the run.
        start: start of the first walk; None leaves the choice to the user.
        truth: whether the true view is shown from the beginning.
        instructions: whether the run's training had spoken instructions; None if unknown.
        known: how far ahead imagined views are known to be good, in words.
    """

    title: str
    start: Start | None = None
    truth: bool = False
    instructions: bool | None = None
    known: str = ""


class Answers:
    """Answers to all requests of the page: functions from JSON to JSON or to a file's bytes."""

    def __init__(self, walker: Walker, starts: Starts, opening: Opening) -> None:
        self._walker, self._starts, self._opening = walker, starts, opening
        self._walks = Walks()

    def about(self) -> dict[str, Any]:
        """Returns facts about the run, and what it can do."""
        pretrained, sampling = self._walker.pretrained, self._walker.sampling
        vision, actions = pretrained.vision_tokenizer, pretrained.actions
        shape = vision.image_shape
        return {
            "title": self._opening.title,
            "parameters": pretrained.decoder.count_parameters().total,
            "device": str(pretrained.device),
            "vision": vision.name,
            "view_pixels": [shape.width_pixels, shape.height_pixels],
            "view_tokens": shape.num_tokens,
            "steps": sampling.steps,
            "solver": sampling.solver.value,
            "guidance": sampling.guidance,
            "least_guidance": LEAST_GUIDANCE,
            "most_guidance": MOST_GUIDANCE,
            "keys": {
                key: read_command(key, actions).text if pretrained.walks.poses else ""
                for key in "WASD"
            },
            "starts": len(self._starts),
            "opens": self._opening.start is not None,
            "truth": self._opening.truth,
            "truth_missing": None if self._walker.truth else NO_WORLD,
            "instructions": self._opening.instructions,
            "known": self._opening.known,
        }

    def starts(self, first: int) -> dict[str, Any]:
        """Returns names of up to ``STARTS_AT_ONCE`` starts, from ``first`` on.

        Raises:
            UserError: the run has fewer.
        """
        if first and not 0 <= first < len(self._starts):
            raise UserError(f"from={first}: there are {len(self._starts)} starts")
        numbers = range(first, min(first + STARTS_AT_ONCE, len(self._starts)))
        named = [{"number": n, "name": self._starts.name_of(n)} for n in numbers]
        return {"starts": named, "of": len(self._starts)}

    def start_view(self, number: int) -> bytes:
        """Returns the view of a start as PNG."""
        return png(self._start(number).view)

    def begin(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Begins a walk and returns it."""
        asked = read_body(Begin, body)
        return self._walk(self._walks.begin(self._walker, self._chosen(asked)), truth=asked.truth)

    def walk(self, name: str, *, truth: bool) -> dict[str, Any]:
        """Returns all frames of a walk."""
        return self._walk(self._walks[name], truth=truth)

    def step(self, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Imagines the next frame and returns it."""
        asked, walk = read_body(Step, body), self._walks[name]
        pretrained = self._walker.pretrained
        command = read_command(
            asked.typed,
            pretrained.actions,
            horizon_frames=pretrained.walks.horizon_frames,
            poses=pretrained.walks.poses,
            number=asked.number,
            of=asked.of,
        )
        frame = walk.step(
            self._walker, command, after=asked.after, seed=asked.seed, guidance=asked.guidance
        )
        [told] = self._frames(walk, [frame], asked.after, truth=asked.truth)
        return told

    def keep(self, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Removes the last frames, and returns the number of those left."""
        asked, walk = read_body(Keep, body), self._walks[name]
        walk.keep(asked.count, after=asked.after)
        return {"frames": asked.count}

    def sheet(self, name: str, *, truth: bool) -> bytes:
        """Returns the walk as a contact sheet, PNG."""
        frames = self._walks[name].frames
        texts = [each.command.text.removeprefix(PREFIX) for each in frames if each.command]
        captions = ["start", *texts]
        views = [frame.view for frame in frames]
        true = self._true_views(frames) if truth else None
        blocked = [frame.blocked for frame in frames]
        strips = []
        for begin in range(0, len(frames), SHEET_COLUMNS):
            part = slice(begin, begin + SHEET_COLUMNS)
            shown = true and true[part]
            strips.append(Strip("", views[part], captions[part], shown, blocked[part]))
        return png(np.asarray(contact_sheet(strips)))

    def saved(self, name: str) -> dict[str, Any]:
        """Returns the walk with everything needed to repeat it."""
        walk, sampling = self._walks[name], self._walker.sampling
        return {
            "run": self._opening.title,
            "start": walk.start.name,
            "solver": sampling.solver.value,
            "steps": sampling.steps,
            "frames": self._walk(walk, truth=False)["frames"],
        }

    def _chosen(self, asked: Begin) -> Start:
        """Returns the requested start."""
        if asked.picture is not None:
            shape = self._walker.pretrained.vision_tokenizer.image_shape
            return given_picture(read_file("picture", asked.picture), shape, asked.name)
        if asked.start is not None:
            return self._start(asked.start)
        if self._opening.start is None:
            raise UserError("no start was chosen; give start or picture")
        return self._opening.start

    def _start(self, number: int) -> Start:
        if not 0 <= number < len(self._starts):
            raise UserError(f"start {number}: there are {len(self._starts)}")
        return self._starts[number]

    def _walk(self, walk: Walk, *, truth: bool) -> dict[str, Any]:
        told = self._frames(walk, walk.frames, truth=truth)
        return {"walk": walk.name, "start": walk.start.name, "frames": told}

    def _frames(
        self, walk: Walk, frames: Sequence[Frame], first: int = 0, *, truth: bool
    ) -> list[dict[str, Any]]:
        """Returns frames of a walk as JSON; ``first`` is the number of the first of ``frames``."""
        told = [self._frame(frame, number) for number, frame in enumerate(frames, start=first)]
        if truth:
            true_views = self._true_views(frames)
            for each, frame, view in zip(told, frames, true_views, strict=True):
                each["truth"] = None if view is None else data_url(png(view))
                each["truth_missing"] = self._why_missing(walk, frame)
        return told

    def _frame(self, frame: Frame, number: int) -> dict[str, Any]:
        told: dict[str, Any] = {
            "number": number,
            "text": frame.command.text if frame.command else "",
            "instruction": frame.command is not None and frame.command.is_spoken,
            "blocked": frame.blocked,
            "document_begin": frame.document_begin,
            "seed": frame.seed,
            "guidance": frame.guidance,
            "milliseconds": round(frame.milliseconds, 1),
            "pose": None,
            "view": data_url(png(frame.view)),
        }
        if frame.place is not None:
            pose = frame.place.pose
            told["pose"] = [pose.x_metres, pose.y_metres, pose.yaw_degrees]
        return told

    def _true_views(self, frames: Sequence[Frame]) -> list[np.ndarray | None]:
        """Returns the true view of each frame; None where its place is not known."""
        truth, known = self._walker.truth, [frame.place for frame in frames if frame.place]
        if truth is None or not known:
            return [None] * len(frames)
        views = iter(truth.views(known))
        return [next(views) if frame.place else None for frame in frames]

    def _why_missing(self, walk: Walk, frame: Frame) -> str | None:
        if frame.place is not None and self._walker.truth is not None:
            return None
        if self._walker.truth is None:
            return NO_WORLD
        return NO_MAP if walk.start.place is None else NO_POSE


NO_WORLD = (
    "No engine shows the places of this run; that of the embedded world would, with a source of "
    "stream.sources.NAME.kind = 'world'."
)
NO_MAP = "No map that an engine could show is behind this start."
NO_POSE = "An instruction names no pose, so the true place is not known from there on."
