"""The interleaved sampler: continues documents with text and items.

:mod:`chiasm.inference.batch` has the state machine; this file checks requests and splits them into
batches.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Protocol

import torch

from chiasm.batch.streams import IMAGE
from chiasm.data.encoding import FRAME_TOKENS
from chiasm.documents import Continuous, Span
from chiasm.errors import UserError
from chiasm.inference.batch import Batch
from chiasm.inference.passage import Passage, prompt_passage
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import Event, Request, SamplingSettings


class Generating(Protocol):
    """Something that continues documents: a sampler, or an engine that many share."""

    pretrained: Pretrained

    def generate(
        self, requests: Sequence[Request], settings: SamplingSettings | None = None
    ) -> list[list[Span]]:
        """Returns what follows each request's spans."""
        ...


class Sampler:
    """Continues documents with text, and with items where the model or the request opens them."""

    def __init__(self, pretrained: Pretrained) -> None:
        self.pretrained = pretrained

    @torch.inference_mode()
    def generate(
        self, requests: Sequence[Request], settings: SamplingSettings | None = None
    ) -> list[list[Span]]:
        """Returns what follows each request's spans; pictures are uint8 [H, W, 3].

        ``settings`` say how to write and generate, None the defaults; ``settings.batch_size``
        requests run together.

        Raises:
            UserError: a prompt is longer than the model's context (checked for all requests before
                anything runs), or an item cannot be read.
        """
        results = []
        for batch in self._batches(requests, settings or SamplingSettings()):
            deque(batch.run(), maxlen=0)
            results += batch.spans
        return results

    @torch.inference_mode()
    def stream(
        self, requests: Sequence[Request], settings: SamplingSettings | None = None
    ) -> Iterator[Event]:
        """Yields every piece of text, item and ending of :meth:`generate` as it happens.

        Raises:
            UserError: as of :meth:`generate`.
        """
        for batch in self._batches(requests, settings or SamplingSettings()):
            yield from batch.run()

    def refuse(self, settings: SamplingSettings) -> None:
        """Refuses settings that are not for this model.

        Raises:
            UserError: it has no pictures of several shapes, or no head in its middle.
        """
        decoder = self.pretrained.decoder
        if settings.aspect is not None and not any(shape.varies for shape in decoder.shapes):
            raise UserError(
                ", but all items of this model have one shape",
                setting="aspect",
                value=settings.aspect,
                remedy='leave it out, or train a model with streams.image.shape = "native"',
            )
        head = decoder.inner_head
        if settings.inner_guidance > 1 and (head is None or not head.guides):
            raise UserError(
                ", but this model has no head in its middle that predicts latents",
                setting="inner_guidance",
                value=settings.inner_guidance,
                remedy="leave it out, or train a model with model.inner.block",
            )

    def prompts(self, requests: Sequence[Request], settings: SamplingSettings) -> list[Passage]:
        """Returns the prompts of requests that can be run.

        Raises:
            UserError: one cannot, whatever runs beside it.
        """
        if isinstance(requests, Request):
            raise UserError("requests is a single Request", remedy="give a list of them")
        self.refuse(settings)
        several = len(requests) > 1
        return [
            self._prompt(f"request {n}" if several else "the request", request, settings.max_items)
            for n, request in enumerate(requests)
        ]

    def _batches(self, requests: Sequence[Request], settings: SamplingSettings) -> Iterator[Batch]:
        prompts = self.prompts(requests, settings)
        for begin in range(0, len(requests), settings.batch_size):
            chunk = slice(begin, begin + settings.batch_size)
            yield Batch(self.pretrained, settings, requests[chunk], prompts[chunk], begin)

    def _prompt(self, name: str, request: Request, max_items: int) -> Passage:
        """Returns a request's prompt; refuses one that leaves no room for the items to generate."""
        items = request.num_given_items
        begun = bool(request.spans) and isinstance(request.spans[-1], Continuous)
        if request.script and (request.opens or not begun):
            raise UserError(
                f"{name} has a script, whose texts open items: its spans must end in an item, and "
                "opens be False"
            )
        if request.window is not None and not (
            request.script and request.window > 1 and isinstance(request.spans[0], Continuous)
        ):
            raise UserError(
                f"{name} has window = {request.window}: that is for scripts behind documents that "
                "begin with an item, and from 2 on"
            )
        if items > max_items:
            raise UserError(
                f"{name} is to generate {items} items but max_items = {max_items}; give {items} or "
                "more"
            )
        pretrained = self.pretrained
        streams = pretrained.decoder.shapes
        if items or request.stream != IMAGE:
            streams.reading(request.stream, target=True)  # refuses what cannot be generated
        prompt = prompt_passage(request.spans, pretrained.text_tokenizer, pretrained.tokenizers)
        size = streams[request.stream].num_tokens + FRAME_TOKENS if items else 0
        given = [len(pretrained.text_tokenizer.encode_array(text)) for text in request.script]
        needed = len(prompt) + sum(given) + items * size
        if request.window is not None:
            # Whatever leaves, the last item stays, and the next one with its text follows it.
            needed = max(len(prompt), 1 + 2 * size + max(given, default=0))
        if needed > pretrained.context_positions:
            named = f"the {request.stream}" if items == 1 else f"the {items} {request.stream}s"
            more = f" and {named} to generate, {needed} together," if items else ""
            raise UserError(
                f"the prompt of {name} takes {len(prompt)} positions{more} but the model's context "
                f"holds {pretrained.context_positions}; shorten the text or give fewer items"
                + (f" ({size} positions each)" if items else "")
            )
        return prompt
