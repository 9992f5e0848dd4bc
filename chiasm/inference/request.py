"""What is asked of the sampler, and the events that it gives back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from numbers import Integral
from typing import TYPE_CHECKING

from pydantic import Field

from chiasm.batch.streams import IMAGE
from chiasm.documents import Continuous, Document, Span
from chiasm.errors import UserError
from chiasm.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor

MOST_ASPECT = 8.0
"""A picture that is wider by height, or higher by width, is a stripe of few patches."""
LEAST_GUIDANCE, MOST_GUIDANCE = 1.0, 20.0
"""Below the least, the condition would be weakened; above the most, images are saturated."""


class Solver(StrEnum):
    """The name of a solver, as a setting gives it."""

    EULER = "euler"
    HEUN = "heun"


class SamplingSettings(Settings):
    """How to write and how to generate items: to draw, where they are pictures."""

    temperature: float = Field(default=1.0, ge=0)
    """0 is greedy, 1 the model's own distribution."""
    top_k: int | None = Field(default=None, ge=1)
    """Choose among the k most probable tokens; without it, among all."""
    steps: int = Field(default=25, ge=1)
    """Steps of the solver for one item."""
    solver: Solver = Solver.EULER
    """``euler`` or ``heun`` (two velocities per step)."""
    guidance: float = Field(default=3.0, ge=LEAST_GUIDANCE, le=MOST_GUIDANCE)
    """Guidance scale; 1 is the plain conditional velocity, at half the cost."""
    inner_guidance: float = Field(default=1.0, ge=LEAST_GUIDANCE, le=MOST_GUIDANCE)
    """Scale of guidance by the head in the middle of the model, at no cost; 1 is none. For models
    that were trained with ``model.inner`` and latents for its target."""
    max_tokens: int = Field(default=256, ge=0)
    """Text tokens that may be written; the first choice of a further one ends the request."""
    max_items: int = Field(default=1, ge=0)
    """Pictures and items of other streams, together, that may be generated; a further one ends the
    request."""
    aspect: float | None = Field(default=None, ge=1 / MOST_ASPECT, le=MOST_ASPECT)
    """Width by height of the pictures that are drawn, of a model whose pictures keep their aspect
    ratios; None: that of the last one of the document, or a square."""
    stop: tuple[str, ...] = ()
    """Strings that end a request when the text written since the last item contains them; neither
    they nor what follows is part of the result. On the command line ``\\n`` is a line's end."""
    history_noise: float = Field(default=0.0, ge=0, lt=1)
    """Noise with which the model reads what it made itself: 1 less the flow time. For models that
    were trained with as much ``context_noise``."""
    kept_window: bool = False
    """Whether the views that stay in a roll-out's full document keep what they have read of those
    that left it, which is faster; without, they are read anew for every further view, as the
    documents of training are."""
    batch_size: int = Field(default=32, ge=1)
    """Requests that run as one batch; bounds the memory of the cache, never changes a result."""

    @property
    def told_step(self) -> float:
        """Size of a step that a model with shortcuts is told, as a share of the whole way; 0 for
        Heun's method, which asks for velocities of a moment."""
        return 1 / self.steps if self.solver == Solver.EULER else 0.0


IMAGINING = SamplingSettings(guidance=1.0)
"""How views are imagined: from the model's own distribution."""


@dataclass(frozen=True)
class Request:
    """One document to continue.

    Every item of the prompt is clean (flow time 1) unless the model made it. Whether it is a target
    only selects the stream that reads it, where one stream reads another one's context: the one
    that read it at this place of a training document. With ``opens`` the continuation begins with
    an item of ``stream``; without, the model decides what comes.

    Requests of a batch that share one ``spans`` object are read once.
    """

    spans: tuple[Span, ...]
    seed: int = 0
    opens: bool = False
    script: tuple[str, ...] = ()
    """Given texts, each followed by a generated item, instead of ``opens``; the first text follows
    an item. A world model imagines one view after another this way, each after an action, and
    requests that differ in their actions alone share what they have read.
    """
    stream: str = IMAGE
    """Stream of the items that ``opens`` and ``script`` open."""
    imagined: bool = False
    """Whether the model made the prompt's items itself, and reads them with ``history_noise``."""
    window: int | None = None
    """Most items that a document with a script holds at once: the oldest one leaves it, with the
    text behind it, before a further one, or where the context is full. Those that stay keep what
    they have seen. The document begins with an item. None: it holds them all."""

    def __post_init__(self) -> None:
        if not isinstance(self.seed, Integral) or self.seed < 0:
            raise UserError("is no seed", setting="seed", value=self.seed, remedy="give 0, 1, 2, …")
        try:
            Document(self.spans)
        except TypeError as error:
            raise UserError(f"a request's {error}") from error

    @property
    def num_given_items(self) -> int:
        """Number of items that are generated whatever the model would choose."""
        return len(self.script) or int(self.opens)


class Ending(StrEnum):
    """Reason why a request ended."""

    DOCUMENT = "the model ended the document"
    STOP = "a stop string was written"
    MAX_TOKENS = "max_tokens was reached"
    MAX_ITEMS = "max_items was reached"
    CONTEXT = "the context is full"


@dataclass(frozen=True)
class TextWritten:
    """A piece of text that will not change any more; pieces join to the request's text."""

    request: int
    text: str


@dataclass(frozen=True)
class Generated:
    """A finished item, such as an image, and its latents [P, C]."""

    request: int
    item: Continuous
    latents_PC: Tensor


@dataclass(frozen=True)
class Ended:
    """The last event of a request."""

    request: int
    ending: Ending


Event = TextWritten | Generated | Ended
"""An event of a request; ``event.request`` is the request's place in the list."""
