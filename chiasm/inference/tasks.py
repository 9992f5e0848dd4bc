"""The tasks of a multimodal model in one line each, with the prompts that the embedded world uses.

Each function takes a list, runs it as one batch, and returns a list of the same length. The i-th
item has the seed ``seed + i``. Images go in as anything that :class:`chiasm.documents.Image` holds
and come out as uint8 [H, W, 3].
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chiasm.batch.streams import IMAGE
from chiasm.documents import (
    CAPTION_PROMPT,
    NEXT_QUESTION,
    PICTURE_PROMPT,
    Continuous,
    Document,
    Image,
    Sound,
    Span,
    Text,
    question_prompt,
)
from chiasm.inference.request import Request, SamplingSettings
from chiasm.inference.sampler import Sampler
from chiasm.waveform import Waveform

DEFAULTS = SamplingSettings()


def answer(
    sampler: Sampler,
    images: Sequence[Image],
    questions: Sequence[str],
    *,
    settings: SamplingSettings = DEFAULTS,
    seed: int = 0,
) -> list[str]:
    """Returns the model's answer to a question about each image, without surrounding spaces.

    A question is plain words, as ``what is the wall made of?``. ``settings`` are read as given but
    for the limits: the answer ends with the document, or where the next question begins, and holds
    no image. It may have several lines.
    """
    prompts = [question_prompt(question) for question in questions]
    return answer_prompts(sampler, images, prompts, settings=settings, seed=seed)


def answer_prompts(
    sampler: Sampler,
    items: Sequence[Image | Sound],
    prompts: Sequence[str],
    *,
    settings: SamplingSettings = DEFAULTS,
    seed: int = 0,
) -> list[str]:
    """Returns :func:`answer` to whole prompts about pictures or sounds, as documents have them."""
    limits = settings.model_copy(update={"stop": (NEXT_QUESTION, *settings.stop)})
    return _write(sampler, items, prompts, limits, seed)


def caption(
    sampler: Sampler,
    images: Sequence[Image],
    *,
    settings: SamplingSettings = DEFAULTS,
    seed: int = 0,
) -> list[str]:
    """Returns the model's caption of each image."""
    return _write(sampler, images, [CAPTION_PROMPT] * len(images), settings, seed)


def draw(
    sampler: Sampler,
    captions: Sequence[str],
    *,
    settings: SamplingSettings = DEFAULTS,
    seed: int = 0,
) -> list[np.ndarray]:
    """Returns one image per caption: uint8 [H, W, 3]."""
    return _draw(sampler, list(map(picture_prompt, captions)), settings, seed)


def picture_prompt(words: str) -> tuple[Text]:
    """Returns what a picture is drawn behind, as documents have its caption."""
    return (Text(f"{PICTURE_PROMPT} {words}"),)


def synthesize(
    sampler: Sampler,
    prompts: Sequence[str],
    *,
    settings: SamplingSettings = DEFAULTS,
    seed: int = 0,
) -> list[Waveform]:
    """Returns one sound per prompt, such as ``sound: a dog barks``, of the stream ``sound``."""
    spans = [(Text(prompt),) for prompt in prompts]
    made = generate_items(sampler, spans, "sound", settings=settings, seed=seed)
    return [item.data for item in made]


def next_view(
    sampler: Sampler,
    views: Sequence[Sequence[Image]],
    actions: Sequence[Sequence[str]],
    *,
    settings: SamplingSettings = DEFAULTS,
    seed: int = 0,
) -> list[np.ndarray]:
    """Returns the view after the last action: uint8 [H, W, 3].

    Args:
        sampler: with the model.
        views: for each item, the k >= 1 views so far, oldest first.
        actions: for each item, k actions: the i-th was taken at the i-th view. They are whole
            texts, as ``action: dx=+0.34 dy=-0.02 dyaw=+12``.
        settings: of the sampler.
        seed: of the first item.

    Raises:
        ValueError: an item has not as many actions as views.
    """
    # The parts that views play in training: the first is given, those after it were imagined.
    prompts = [
        tuple(
            span
            for number, (view, action) in enumerate(zip(own_views, own_actions, strict=True))
            for span in (Image(view.data, target=number > 0), Text(action))
        )
        for own_views, own_actions in zip(views, actions, strict=True)
    ]
    return _draw(sampler, prompts, settings, seed)


def generate_items(
    sampler: Sampler,
    prompts: Sequence[tuple[Span, ...]],
    stream: str,
    *,
    settings: SamplingSettings = DEFAULTS,
    seed: int = 0,
) -> list[Continuous]:
    """Returns the item of a stream that follows each prompt: spans that a document begins with."""
    limits = settings.model_copy(update={"max_items": 1, "max_tokens": 0})
    requests = [
        Request(spans, seed + number, opens=True, stream=stream)
        for number, spans in enumerate(prompts)
    ]
    results = sampler.generate(requests, limits)
    return [span for spans in results for span in spans if isinstance(span, Continuous)]


def _write(
    sampler: Sampler,
    items: Sequence[Image | Sound],
    prompts: Sequence[str],
    settings: SamplingSettings,
    seed: int,
) -> list[str]:
    asked = [(item, Text(prompt)) for item, prompt in zip(items, prompts, strict=True)]
    limits = settings.model_copy(update={"max_items": 0})
    requests = [Request(spans, seed + number) for number, spans in enumerate(asked)]
    results = sampler.generate(requests, limits)
    return [Document(tuple(spans)).text.strip() for spans in results]


def _draw(
    sampler: Sampler, prompts: Sequence[tuple[Span, ...]], settings: SamplingSettings, seed: int
) -> list[np.ndarray]:
    made = generate_items(sampler, prompts, IMAGE, settings=settings, seed=seed)
    return [item.pixels() for item in made if isinstance(item, Image)]
