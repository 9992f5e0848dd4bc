"""Answers to the page's requests, without HTTP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from chiasm.batch.streams import IMAGE
from chiasm.demo import tasks
from chiasm.demo.engine import Begun, Engine, Failed, Job, JobEvent, Over, Waits
from chiasm.documents import Continuous, Image, Sound
from chiasm.inference.continuous import Sketched
from chiasm.inference.request import (
    Ended,
    Ending,
    Generated,
    SamplingSettings,
    TextWritten,
)
from chiasm.loopback.bodies import read_body
from chiasm.report.sounds import data_uri
from chiasm.report.sounds import picture as sound_picture
from chiasm.sound.settings import SOUND
from chiasm.tokenizers.tokenizer import Tokenizer
from chiasm.walk.pictures import data_url, png
from chiasm.waveform import Waveform

POLL_SECONDS = 0.2
"""Interval at which it is seen whether a page is still there."""
SHOWN_NUMBERS = 4096
"""Most numbers that are sent of an item that is neither picture nor sound."""


class Told:
    """What is told of a job, as JSON; closed, it cancels the job."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def __iter__(self) -> Iterator[Mapping[str, Any] | None]:
        for event in self._job.events(POLL_SECONDS):
            yield None if event is None else as_json(event, self._job.settings)

    def close(self) -> None:
        """Cancels the job, wherever it is."""
        self._job.cancel()


class Answers:
    """Answers to all requests of the page but those of its walks.

    Args:
        engine: what runs the model.
        title: title of the page.
        prompts: a prompt of training for the fields of ``write``, ``ask``, or a drawn stream.
    """

    def __init__(
        self, engine: Engine, title: str, prompts: Mapping[str, str] | None = None
    ) -> None:
        self._engine, self._title, self._prompts = engine, title, dict(prompts or {})

    def about(self) -> dict[str, Any]:
        """Returns facts about the model, and what it can do."""
        pretrained = self._engine.pretrained
        streams = pretrained.decoder.shapes
        defaults = tasks.DEFAULTS
        return {
            "title": self._title,
            "prompts": self._prompts,
            "parameters": pretrained.decoder.count_parameters().total,
            "device": str(pretrained.device),
            "context": pretrained.context_positions,
            "reads": [name for name in (IMAGE, SOUND) if name in streams.names],
            "makes": [name for name in streams.generated if pretrained.tokenizers[name].decodes],
            "varies": IMAGE in streams.names and streams[IMAGE].varies,
            "pixels": _pixels(pretrained.tokenizers.get(IMAGE)),
            "defaults": defaults.model_dump(
                mode="json", include={"temperature", "steps", "guidance", "max_tokens"}
            ),
            "most": {
                "samples": tasks.MOST_SAMPLES,
                "max_tokens": tasks.MOST_TOKENS,
                "max_items": tasks.MOST_ITEMS,
                "steps": tasks.MOST_STEPS,
            },
        }

    def run(self, name: str, body: Mapping[str, Any]) -> Told:
        """Begins a task, and returns what is told of it.

        Raises:
            UserError: it cannot be done.
        """
        task = read_body(tasks.TASKS[name], body)
        requests, settings = task.sampled(self._engine.pretrained)
        return Told(self._engine.submit(requests, settings, watched=True))


def as_json(event: JobEvent, settings: SamplingSettings) -> dict[str, Any]:
    """Returns an event of a job with these settings for the page."""
    match event:
        case Waits(ahead):
            return {"kind": "waits", "ahead": ahead}
        case Begun():
            return {"kind": "begun"}
        case TextWritten(request, text):
            return {"kind": "text", "sample": request, "text": text}
        case Sketched(request, step, steps, item):
            shown = {} if item is None else _item(item)
            return {"kind": "step", "sample": request, "step": step, "of": steps, **shown}
        case Generated(request, item):
            return {"kind": "item", "sample": request, **_item(item)}
        case Ended(request, ending):
            return {"kind": "ended", "sample": request, "why": note(ending, settings)}
        case Failed(why):
            return {"kind": "failed", "why": why}
        case Over():
            return {"kind": "over"}


def note(ending: Ending, settings: SamplingSettings) -> str:
    """Returns what a person is told of an end; empty where all is there that was asked for."""
    match ending:
        case Ending.MAX_ITEMS if not settings.max_items:
            return "here the model would begin a picture or another item: see Go on"
        case Ending.MAX_ITEMS:
            return f"cut off before item {settings.max_items + 1}"
        case Ending.MAX_TOKENS if settings.max_tokens:
            return f"cut off after {settings.max_tokens} tokens"
        case Ending.CONTEXT:
            return "cut off: the model holds no longer document"
        case _:
            return ""


def _item(item: Continuous) -> dict[str, Any]:
    """Returns an item as data URLs; of one that is neither seen nor heard, the numbers."""
    if isinstance(item, Image):
        return {"picture": data_url(png(item.pixels()))}
    if isinstance(item, Sound) and isinstance(item.data, Waveform):
        seen = data_url(png(sound_picture(item.data)))
        return {"sound": data_uri(item.data), "picture": seen, "seconds": item.data.seconds}
    return {"stream": item.stream, "numbers": repr(item.data)[:SHOWN_NUMBERS]}


def _pixels(tokenizer: Tokenizer | None) -> list[int]:
    if tokenizer is None:
        return []
    shape = tokenizer.image_shape
    return [shape.width_pixels, shape.height_pixels]
