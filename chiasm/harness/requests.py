"""A harness's plain texts and pictures as prompts, and its words for sampling as our settings.

A text is a document from its first character on: ``<bod>`` stands before it and nothing is added,
as for ``model.write`` and ``model.score``. The prefixes of training's documents ("question: ",
"story:") are a task's own business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chiasm.data.tokenizer import TextTokenizer
from chiasm.documents import Span, Text
from chiasm.errors import UserError
from chiasm.inference.request import SamplingSettings
from chiasm.inference.writer import UNFINISHED
from chiasm.prompts import Picture, image
from chiasm.toml import parse_settings

IMAGE_MARK = "<image>"
"""Where a harness has a picture in a text."""

_UNUSED: dict[str, tuple[Any, ...]] = {"top_p": (1,), "num_beams": (1,), "repetition_penalty": (1,)}
"""What other samplers have beside ours, and the values that change nothing."""


def sampling_settings(given: Mapping[str, Any], batch_size: int) -> SamplingSettings:
    """Returns the settings for a task's generation: greedy unless it samples, text alone.

    Args:
        given: the task's ``generation_kwargs``, normalized by the harness: ``until``,
            ``max_gen_toks`` and ``do_sample`` are there.
        batch_size: requests that run together.

    Raises:
        UserError: it asks for something that would change the text and that there is not.
    """
    asked = {name: value for name, value in given.items() if value is not None}
    for name, harmless in _UNUSED.items():
        if name in asked and asked[name] in harmless:
            del asked[name]
    samples = asked.pop("do_sample")
    temperature = asked.pop("temperature", 1.0)
    settings = {
        "temperature": temperature if samples else 0.0,
        "max_tokens": asked.pop("max_gen_toks"),
        "stop": tuple(filter(None, asked.pop("until"))),
        "batch_size": batch_size,
        "max_items": 0,
    }
    if samples and "top_k" in asked:
        settings["top_k"] = asked["top_k"] or None  # 0 is all of them
    asked.pop("top_k", None)
    if asked:
        name, value = next(iter(asked.items()))
        raise UserError(
            "is nothing that chiasm samples by",
            setting=f"generation_kwargs.{name}",
            value=value,
            remedy="leave it out of the task; there are until, max_gen_toks, do_sample, "
            "temperature and top_k",
        )
    return parse_settings(SamplingSettings, settings)


def ending(text: str, tokenizer: TextTokenizer, most: int) -> str:
    """Returns the longest ending of a text that has at most so many tokens, about to a token."""
    ids = tokenizer.encode(text)
    while len(ids) > most:
        cut = tokenizer.decode(ids[len(ids) - most :]).lstrip(UNFINISHED)
        # An ending may have other tokens than it had in the text, and then more of them.
        text = cut if len(cut) < len(text) else text[1:]
        ids = tokenizer.encode(text)
    return text


def prompt_spans(text: str, pictures: Sequence[Picture] = ()) -> tuple[Span, ...]:
    """Returns the spans of a text with pictures at its marks; without marks they come first.

    Raises:
        UserError: there are not as many marks as pictures.
    """
    first, *rest = text.split(IMAGE_MARK) if pictures else [text]
    seen = [image(picture) for picture in pictures]
    if not rest:
        return (*seen, Text(first))
    if len(rest) != len(seen):
        raise UserError(
            f"a prompt has {len(rest)} of {IMAGE_MARK} and {len(seen)} pictures; the task is to "
            "give as many of both, or no marks"
        )
    pairs = zip(seen, map(Text, rest), strict=True)
    spans = (Text(first), *(span for pair in pairs for span in pair))
    return tuple(span for span in spans if span != Text(""))
