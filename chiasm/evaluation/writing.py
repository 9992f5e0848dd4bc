"""Samples of the model's text: free continuations, and captions of held-out images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from chiasm.documents import Document, Image, Sound, Span, Text
from chiasm.evaluation.evaluation import Findings, Panel, Sample, SoundPanel
from chiasm.evaluation.measure import Measure
from chiasm.evaluation.shared import MeasureSettings

if TYPE_CHECKING:
    from chiasm.evaluation.run import Run

PROMPT_CHARACTERS = 80
TEMPERATURE = 0.7
"""Below 1, since a small model's rare tokens are mostly mistakes."""

LOOKED_AT = 16
"""Held-out documents of each source that prompts are taken from."""


class WritingSettings(MeasureSettings):
    """How much is written."""

    continuation_tokens: int = Field(120, ge=1)
    """Length of a free continuation."""


class Captions(Measure[WritingSettings]):
    """Captions of held-out images, beside the true ones."""

    section = "picture to caption"
    settings = WritingSettings
    heading = "What it sees"
    lead = "Captions of held-out pictures, written greedily."

    def measure(self, run: Run[WritingSettings]) -> Findings:
        """Returns samples of images that have a caption."""
        from chiasm.inference.tasks import caption

        described = list(filter(None, map(_description, _documents(run))))
        pairs = described[: run.settings.shown // 2]
        if not pairs:
            return Findings()
        images = [image for image, _ in pairs]
        greedy = run.settings.writing(run.settings.continuation_tokens)
        written = caption(run.sampler, images, settings=greedy, seed=run.settings.seed)
        samples = [
            Sample(
                self.section,
                (("model", words), ("truth", truth)),
                (Panel("view", run.fitted(image)),),
            )
            for (image, truth), words in zip(pairs, written, strict=True)
        ]
        return Findings(samples=samples)


class Continuations(Measure[WritingSettings]):
    """Continuations of held-out texts and of a bare request for an image."""

    section = "continuation"
    settings = WritingSettings
    heading = "What it writes"
    lead = "Free continuations, in which the model itself decides when to open a picture."

    def measure(self, run: Run[WritingSettings]) -> Findings:
        """Returns samples of the model's continuations."""
        from chiasm.inference.request import Request

        draws, shown = run.pretrained.draws, run.settings.shown
        documents = list(_documents(run))
        texts = [_beginning(each.text) for each in documents if not any(each.items)]
        asks_picture = draws and any(each.text.startswith("picture:") for each in documents)
        # Without text before it the model writes a caption of its own, and then opens the picture.
        prompts = texts[: shown // 2] + ["picture:"] * (asks_picture * shown // 4)
        if not prompts:
            return Findings()
        written = run.settings.writing(run.settings.continuation_tokens, TEMPERATURE)
        drawn = {"steps": run.settings.steps, "guidance": run.settings.guidance}
        sampling = written.model_copy(update={"max_items": int(draws), **drawn})
        seed = run.settings.seed
        asked = [Request((Text(each),), seed + number) for number, each in enumerate(prompts)]
        results = run.sampler.generate(asked, sampling)
        samples = [
            Sample(self.section, (("prompt", prompt), ("model", _words(result))), _panels(result))
            for prompt, result in zip(prompts, results, strict=True)
        ]
        return Findings(samples=samples)


def _documents(run: Run[WritingSettings]) -> Iterator[Document]:
    """Yields the held-out documents that prompts are taken from."""
    for name in run.material.held_out:
        yield from run.pick(name, LOOKED_AT).documents


def _beginning(text: str) -> str:
    """Returns the first words of a text."""
    return text if len(text) < PROMPT_CHARACTERS else text[:PROMPT_CHARACTERS].rsplit(" ", 1)[0]


def _description(document: Document) -> tuple[Image, str] | None:
    spans = document.spans
    if len(spans) == 2 and isinstance(spans[0], Image) and isinstance(spans[1], Text):
        words = spans[1].text
        if words.startswith("caption:"):
            return Image(spans[0].data, target=False), words.removeprefix("caption:").strip()
    return None


def _words(spans: Sequence[Span]) -> str:
    return "".join(span.text if isinstance(span, Text) else f" [{span.stream}] " for span in spans)


def _panels(spans: Sequence[Span]) -> tuple[Panel | SoundPanel, ...]:
    label, panels = "opened by the model", list[Panel | SoundPanel]()
    for span in spans:
        if isinstance(span, Image):
            panels.append(Panel(label, span.pixels()))
        elif isinstance(span, Sound):
            panels.append(SoundPanel.of(label, span))
    return tuple(panels)
