"""Samples of what the model writes: free continuations, and captions of held-out pictures."""

from __future__ import annotations

from collections.abc import Sequence

from chiasm.documents import Document, Image, Span, Text
from chiasm.evaluation.evaluation import Panel, Sample
from chiasm.evaluation.material import Material, pick
from chiasm.evaluation.settings import EvaluationSettings
from chiasm.inference.pictures import fitted
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import Request, SamplingSettings
from chiasm.inference.sampler import Sampler
from chiasm.inference.tasks import caption

FREE = "continuation"
CAPTIONS = "picture to caption"

PROMPT_CHARACTERS = 80
TEMPERATURE = 0.7
"""Below 1, since a small model's rare tokens are mostly mistakes."""

LOOKED_AT = 16
"""Held-out documents of each source that prompts are taken from."""


def sample_writing(
    pretrained: Pretrained, material: Material, settings: EvaluationSettings
) -> list[Sample]:
    """Continuations of held-out texts and of a bare request for a picture; captions."""
    texts, described, asks_picture = _prompts(material)
    asks_picture &= pretrained.draws
    # Without text before it the model writes a caption of its own, and then opens the picture.
    prompts = texts[: settings.shown // 2] + ["picture:"] * (asks_picture * settings.shown // 4)
    samples = _continued(pretrained, prompts, settings) if prompts else []
    return samples + _captions(pretrained, described[: settings.shown // 2], settings)


def _prompts(material: Material) -> tuple[list[str], list[tuple[Image, str]], bool]:
    texts: list[str] = []
    described: list[tuple[Image, str]] = []
    asks_picture = False
    for source in material.held_out.values():
        for document in pick(source, LOOKED_AT, material.log).documents:
            asks_picture |= document.text.startswith("picture:")
            if not any(document.images):
                texts.append(_beginning(document.text))
            elif (pair := _description(document)) is not None:
                described.append(pair)
    return texts, described, asks_picture


def _beginning(text: str) -> str:
    """The first words of a text."""
    return text if len(text) < PROMPT_CHARACTERS else text[:PROMPT_CHARACTERS].rsplit(" ", 1)[0]


def _description(document: Document) -> tuple[Image, str] | None:
    spans = document.spans
    if len(spans) == 2 and isinstance(spans[0], Image) and isinstance(spans[1], Text):
        words = spans[1].text
        if words.startswith("caption:"):
            return Image(spans[0].data, target=False), words.removeprefix("caption:").strip()
    return None


def _continued(
    pretrained: Pretrained, prompts: Sequence[str], settings: EvaluationSettings
) -> list[Sample]:
    sampling = SamplingSettings(
        temperature=TEMPERATURE,
        max_tokens=settings.continuation_tokens,
        max_items=int(pretrained.draws),
        steps=settings.steps,
        guidance=settings.guidance,
        rows_at_once=settings.rows_per_batch,
    )
    asked = [Request((Text(each),), settings.seed + n) for n, each in enumerate(prompts)]
    results = Sampler(pretrained).generate(asked, sampling)
    return [
        Sample(FREE, (("prompt", prompt), ("model", _words(result))), _panels(result))
        for prompt, result in zip(prompts, results, strict=True)
    ]


def _captions(
    pretrained: Pretrained, described: Sequence[tuple[Image, str]], settings: EvaluationSettings
) -> list[Sample]:
    if not described:
        return []
    greedy = SamplingSettings(
        temperature=0,
        max_tokens=settings.continuation_tokens,
        rows_at_once=settings.rows_per_batch,
    )
    images = [image for image, _ in described]
    written = caption(Sampler(pretrained), images, settings=greedy, seed=settings.seed)
    shape = pretrained.vision_tokenizer.image_shape
    return [
        Sample(
            CAPTIONS,
            (("model", words), ("truth", truth)),
            (Panel("view", fitted(image, shape)),),
        )
        for (image, truth), words in zip(described, written, strict=True)
    ]


def _words(spans: Sequence[Span]) -> str:
    return "".join(span.text if isinstance(span, Text) else " [picture] " for span in spans)


def _panels(spans: Sequence[Span]) -> tuple[Panel, ...]:
    pictures = [span for span in spans if isinstance(span, Image)]
    return tuple(Panel("opened by the model", picture.pixels()) for picture in pictures)
