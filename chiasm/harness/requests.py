"""A harness's plain texts and pictures as prompts, and its words for sampling as our settings.

A text is a document from its first character on: ``<bod>`` stands before it and nothing is added,
as for ``model.write`` and ``model.score``. The prefixes of training's documents ("question: ",
"story:") are a task's own business.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from chiasm.data.tokenizer import TextTokenizer
from chiasm.documents import Document, Span, Text
from chiasm.errors import UserError
from chiasm.inference.request import Request, SamplingSettings
from chiasm.inference.sampler import Sampler
from chiasm.inference.writer import UNFINISHED
from chiasm.prompts import Picture, image
from chiasm.toml import parse_settings

IMAGE_MARK = "<image>"
"""Where a harness has a picture in a text."""

BATCH_SIZE = 32
"""Rows of a pass, and texts that are written together, where a harness says ``auto``."""

_LIMITS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
"""Names of the limit of tokens; the first that is given counts, as harnesses have it."""

_HARMLESS = {"top_p": 1, "num_beams": 1, "repetition_penalty": 1}
"""What other samplers have beside ours, with the value that changes nothing."""


def batch_size_of(given: int | str) -> int:
    """Returns the number that a harness's ``batch_size`` stands for.

    Raises:
        UserError: it is none, and not ``auto``.
    """
    if given == "auto":
        return BATCH_SIZE
    if str(given).isdigit() and int(given):
        return int(given)
    raise UserError(
        "is no number", setting="batch_size", value=given, remedy='give 1, 2, 3, … or "auto"'
    )


def sampling_settings(given: Mapping[str, Any], most: int, batch_size: int) -> SamplingSettings:
    """Returns the settings for a task's generation: greedy unless it samples, text alone.

    Args:
        given: the task's ``generation_kwargs``.
        most: tokens that may be written where the task does not say how many.
        batch_size: requests that run together.

    Raises:
        UserError: it asks for something that would change the text and that there is not.
    """
    asked = {name: value for name, value in given.items() if value is not None}
    asked = {name: value for name, value in asked.items() if _HARMLESS.get(name) != value}
    limits = [asked.pop(name) for name in _LIMITS if name in asked]
    until, temperature = asked.pop("until", []), asked.pop("temperature", None)
    samples = asked.pop("do_sample", bool(temperature))
    settings = {
        "temperature": (1.0 if temperature is None else temperature) if samples else 0.0,
        "max_tokens": next(iter(limits), most),
        "stop": tuple(filter(None, [until] if isinstance(until, str) else until)),
        "batch_size": batch_size,
        "max_items": 0,
    }
    if top_k := asked.pop("top_k", 0):
        settings["top_k"] = top_k if samples else None
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


def written(
    sampler: Sampler, prompts: Sequence[Request], settings: Sequence[SamplingSettings]
) -> Iterator[tuple[int, str]]:
    """Yields the text behind each prompt with its number; those with equal settings together."""
    groups: dict[SamplingSettings, list[int]] = defaultdict(list)
    for number, own in enumerate(settings):
        groups[own].append(number)
    for own, numbers in groups.items():
        for begin in range(0, len(numbers), own.batch_size):
            chunk = numbers[begin : begin + own.batch_size]
            found = sampler.generate([prompts[number] for number in chunk], own)
            yield from zip(chunk, (Document(tuple(spans)).text for spans in found), strict=True)


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
