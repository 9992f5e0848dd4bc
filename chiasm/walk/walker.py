"""One model that imagines the next view of any walk, one view at a time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import SamplingSettings
from chiasm.inference.sampler import Generating, Sampler
from chiasm.walk.commands import Command
from chiasm.walk.starts import Place, Start
from chiasm.walk.truth import Truth
from chiasm.worldmodel.rollout import Context, Rollouts


@dataclass(frozen=True, eq=False)
class Frame:
    """A view of a walk, and how it was imagined."""

    view: np.ndarray
    """uint8 [H, W, 3]."""
    command: Command | None = None
    """Command that the model read before it; None at the start."""
    document_begin: int = 0
    """Number of the first frame of the document in which this one was imagined."""
    seed: int = 0
    """Seed of the walk's noise."""
    guidance: float = 1.0
    milliseconds: float = 0.0
    """Time that the model took."""
    place: Place | None = None
    """True place; None outside the embedded world, and from an instruction on."""
    blocked: bool = False
    """Whether a wall or an object stopped the step before its goal."""


class Walker:
    """Imagines views for any number of walks, one view at a time.

    A walk is read in documents like those of training: a document has at most as many views as in
    training, and where it is full its oldest view leaves it, as in
    :class:`~chiasm.worldmodel.rollout.Rollouts`. Each instruction begins a document.

    Args:
        pretrained: model trained with actions.
        sampling: sampling settings; guidance is chosen with each view.
        truth: oracle of the embedded world, if walks begin there.
        engine: what runs the model for all connections; None: a thread of the walker, view by view.

    Raises:
        UserError: the model was trained without actions.
    """

    def __init__(
        self,
        pretrained: Pretrained,
        sampling: SamplingSettings,
        truth: Truth | None = None,
        engine: Generating | None = None,
    ) -> None:
        Rollouts.of(pretrained, sampling)  # refuses a model without actions
        self.pretrained, self.sampling, self.truth = pretrained, sampling, truth
        self._sampler = engine or Sampler(pretrained)
        # A single thread queues the requests of all connections; torch would keep a pool of workers
        # for each thread that has ever used it.
        self._thread = None if engine else ThreadPoolExecutor(1)

    def begin(self, start: Start) -> Frame:
        """Returns the first frame of a walk."""
        return Frame(start.view, place=start.place)

    def step(
        self, frames: Sequence[Frame], command: Command, *, seed: int, guidance: float
    ) -> Frame:
        """Returns the frame after a command.

        Args:
            frames: frames of the walk so far, at least the start.
            command: command that the model reads.
            seed: seed of the walk's noise; each view's noise depends on its number too, so that
                steps that are undone and repeated give the same views.
            guidance: scale of the guidance; 1 is none, at half the cost.

        Raises:
            UserError: the document does not fit the model's context.
        """
        begin = self._document_begin(frames, command)
        shown = frames[begin:]
        texts = [frame.command.text for frame in shown[1:] if frame.command is not None]
        made = sum(frame.command is not None for frame in shown)
        context = Context(tuple(frame.view for frame in shown), tuple(texts), made)
        rollouts = Rollouts(
            self._sampler,
            self.sampling.model_copy(update={"guidance": guidance}),
            context_views=len(shown),
            document_views=len(shown) + 1,
            one_document=command.is_spoken,
        )

        def imagine() -> tuple[np.ndarray, float]:
            began = time.perf_counter()
            [[view]] = rollouts.imagine([context], [[command.text]], seed=seed + len(frames) - 1)
            return view, 1000 * (time.perf_counter() - began)

        view, milliseconds = self._thread.submit(imagine).result() if self._thread else imagine()
        place, blocked = self._place_after(frames[-1].place, command)
        return Frame(view, command, begin, seed, guidance, milliseconds, place, blocked)

    def _place_after(self, place: Place | None, command: Command) -> tuple[Place | None, bool]:
        if self.truth is None or place is None or command.action is None:
            return None, False
        return self.truth.after(place, command.action, command.text)

    def _document_begin(self, frames: Sequence[Frame], command: Command) -> int:
        """Returns the number of the first frame of the document of the next view."""
        last = frames[-1]
        if last.command is None or not command.goes_on_after(last.command):
            return len(frames) - 1
        views = self._document_views(command)
        if views is None or len(frames) - last.document_begin < views:
            return last.document_begin
        return len(frames) - (views - 1)

    def _document_views(self, command: Command) -> int | None:
        """Returns the most views of a training document with such a command; None: no limit."""
        walks = self.pretrained.walks
        return walks.instruction_views if command.is_spoken else walks.views
