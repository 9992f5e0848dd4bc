"""What a page asks, as requests of the sampler.

Every task is a prompt in the words of training, and limits; sample n of several has the seed
``seed`` + n, as everywhere. ``docs/demo.md`` shows each with the command that does the same.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal

from pydantic import Field

from chiasm.batch.streams import IMAGE
from chiasm.demo import uploads
from chiasm.documents import NEXT_QUESTION, Image, Sound, Span, Text, question_prompt
from chiasm.errors import UserError
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import (
    LEAST_GUIDANCE,
    MOST_ASPECT,
    MOST_GUIDANCE,
    Request,
    SamplingSettings,
    Solver,
)
from chiasm.loopback.bodies import read_file
from chiasm.settings import Settings

MOST_SAMPLES = 8
MOST_TOKENS = 2048
MOST_ITEMS = 16
MOST_STEPS = 200
MOST_CHARACTERS = 20_000
MOST_PARTS = 16
MOST_NAME_CHARACTERS = 200

DEFAULTS = SamplingSettings()


Sampled = tuple[list[Request], SamplingSettings]
"""What the sampler takes."""


class Task(Settings):
    """What all tasks have in common."""

    samples: int = Field(1, ge=1, le=MOST_SAMPLES)
    seed: int = Field(0, ge=0, lt=2**31)
    """Of the first sample."""
    temperature: float = Field(DEFAULTS.temperature, ge=0, le=10)
    top_k: int | None = Field(DEFAULTS.top_k, ge=1)
    steps: int = Field(DEFAULTS.steps, ge=1, le=MOST_STEPS)
    solver: Literal["euler", "heun"] = "euler"
    guidance: float = Field(DEFAULTS.guidance, ge=LEAST_GUIDANCE, le=MOST_GUIDANCE)
    max_tokens: int = Field(DEFAULTS.max_tokens, ge=0, le=MOST_TOKENS)
    max_items: int = Field(DEFAULTS.max_items, ge=0, le=MOST_ITEMS)
    aspect: float | None = Field(DEFAULTS.aspect, ge=1 / MOST_ASPECT, le=MOST_ASPECT)

    @abstractmethod
    def sampled(self, pretrained: Pretrained) -> Sampled:
        """Returns the requests.

        Raises:
            UserError: a text or a file cannot be used.
        """

    def _sampled(
        self,
        spans: tuple[Span, ...],
        *,
        opens: str = "",
        stop: tuple[str, ...] = (),
        max_tokens: int | None = None,
        max_items: int | None = None,
    ) -> Sampled:
        """Returns a request for each sample; they share their spans, which are read once."""
        settings = SamplingSettings(
            temperature=self.temperature,
            top_k=self.top_k,
            steps=self.steps,
            solver=Solver(self.solver),
            guidance=self.guidance,
            max_tokens=self.max_tokens if max_tokens is None else max_tokens,
            max_items=self.max_items if max_items is None else max_items,
            aspect=self.aspect,
            stop=stop,
        )
        requests = [
            Request(spans, self.seed + number, opens=bool(opens), stream=opens or IMAGE)
            for number in range(self.samples)
        ]
        return requests, settings


class Write(Task):
    """Text that follows a text, up to its end or the first item."""

    prompt: str = Field(max_length=MOST_CHARACTERS)

    def sampled(self, pretrained: Pretrained) -> Sampled:
        """Returns the requests."""
        return self._sampled(_text(self.prompt), max_items=0)


class Draw(Task):
    """An item of a stream: a picture of a caption, or what follows a whole prompt."""

    words: str = Field(max_length=MOST_CHARACTERS)
    stream: str = Field(IMAGE, max_length=MOST_NAME_CHARACTERS)

    def sampled(self, pretrained: Pretrained) -> Sampled:
        """Returns the requests."""
        words = f"picture: {self.words}" if self.stream == IMAGE else self.words
        return self._sampled(_text(words), opens=self.stream, max_tokens=0, max_items=1)


class Ask(Task):
    """The answer to a question about a picture or a sound; without one, a caption."""

    question: str = Field("", max_length=MOST_CHARACTERS)
    picture: str | None = None
    """A file's content in base64."""
    sound: str | None = None
    """The same."""
    name: str = Field("that was given", max_length=MOST_NAME_CHARACTERS)
    """Of the file."""

    def sampled(self, pretrained: Pretrained) -> Sampled:
        """Returns the requests."""
        item = _item(pretrained, self.picture, self.sound, self.name)
        if item is None:
            raise UserError("nothing was given to ask about; give a picture or a sound")
        prompt = question_prompt(self.question) if self.question.strip() else "caption:"
        spans = (item, Text(prompt))
        return self._sampled(spans, stop=(NEXT_QUESTION,), max_items=0)


class Part(Settings):
    """A text, a picture or a sound of a document that goes on."""

    text: str = Field("", max_length=MOST_CHARACTERS)
    picture: str | None = None
    """A file's content in base64."""
    sound: str | None = None
    """The same."""
    name: str = Field("that was given", max_length=MOST_NAME_CHARACTERS)
    """Of the file."""


class GoOn(Task):
    """What follows a document: text, and items that the model opens itself."""

    parts: list[Part] = Field(max_length=MOST_PARTS)
    opens: str = Field("", max_length=MOST_NAME_CHARACTERS)
    """Stream of an item to begin with; empty where the model chooses."""

    def sampled(self, pretrained: Pretrained) -> Sampled:
        """Returns the requests."""
        spans: list[Span] = []
        for part in self.parts:
            item = _item(pretrained, part.picture, part.sound, part.name)
            spans += _text(part.text) if item is None else (item,)
        return self._sampled(tuple(spans), opens=self.opens)


TASKS: dict[str, type[Task]] = {"write": Write, "draw": Draw, "ask": Ask, "go-on": GoOn}
"""The tasks by their paths."""


def _text(words: str) -> tuple[Text, ...]:
    return (Text(words),) if words else ()


def _item(
    pretrained: Pretrained, picture: str | None, sound: str | None, name: str
) -> Image | Sound | None:
    if picture is not None and sound is not None:
        raise UserError("a picture and a sound were given; give one of them")
    if picture is not None:
        return uploads.picture(pretrained, read_file("picture", picture), name)
    if sound is not None:
        return uploads.sound(pretrained, read_file("sound", sound), name)
    return None
