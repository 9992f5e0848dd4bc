"""One batch of requests, all of them there from the beginning.

All requests that write take one step together; when none writes, all that wait with an open item of
one stream and grid generate together. A request's result is a function of the request, its seed
and the settings: all draws are keyed by the seed and by the request's own counters, whatever runs
beside it. (Batching may change the rounding of an item's last bits, as any change of shape does.)

Shape suffixes: N items, P latent tokens of one item, C latent channels.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain

import torch

from chiasm.batch.streams import StreamShape
from chiasm.data.encoding import FRAME_TOKENS
from chiasm.documents import Span
from chiasm.inference.canvas import Canvas
from chiasm.inference.choice import item_noise
from chiasm.inference.continuation import Continuation
from chiasm.inference.history import History
from chiasm.inference.passage import Passage
from chiasm.inference.passes import Passes
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import Event, Request, SamplingSettings
from chiasm.inference.solvers import denoise, time_grid


class Batch:
    """One batch of requests from their prompts to their ends.

    ``first_number`` is the number of its first request among all requests of the sampler's call.
    """

    def __init__(
        self,
        pretrained: Pretrained,
        settings: SamplingSettings,
        requests: Sequence[Request],
        prompts: Sequence[Passage],
        first_number: int,
    ) -> None:
        self._pretrained, self._settings = pretrained, settings
        self._events: deque[Event] = deque()
        self._everyone = [
            Continuation(
                pretrained,
                request,
                settings,
                prompt,
                number=first_number + member,
                member=member,
                tell=self._events.append,
            )
            for member, (request, prompt) in enumerate(zip(requests, prompts, strict=True))
        ]

    @property
    def spans(self) -> list[list[Span]]:
        """The new spans of each request, once the batch has run."""
        return [each.spans for each in self._everyone]

    def run(self) -> Iterator[Event]:
        """Yields events as they happen, until all requests have ended."""
        history = History(self._pretrained.decoder, len(self._everyone), self._capacity())
        passes = Passes(self._pretrained, history)
        passes.read_prompts(self._everyone)
        for each in self._everyone:
            each.end_if_spent()
        while going_on := [each for each in self._everyone if not each.ended]:
            if writing := [each for each in going_on if not each.stream]:
                passes.write(passes.gathered(writing))
            else:
                shape = going_on[0].shape
                alike = [each for each in going_on if each.shape == shape]
                self._generate(passes, passes.gathered(alike), shape)
            yield from self._told()
        yield from self._told()

    def _capacity(self) -> int:
        """Returns the most slots of a row that any pass needs."""
        settings, streams = self._settings, self._pretrained.decoder.shapes
        sizes = [streams[name].num_tokens for name in streams.generated]
        largest = max(sizes, default=0) + FRAME_TOKENS
        most_new = settings.max_tokens + settings.max_items * largest
        encode = self._pretrained.text_tokenizer.encode
        scripts = [each.request.script for each in self._everyone]
        given = [[len(encode(text)) for text in script] for script in scripts]
        most = max(len(each.prompt) for each in self._everyone) + most_new + max(map(sum, given))
        # `most` bounds what a row comes to hold: its prompt, its script, and all that it may write
        # and generate. But a pass writes as many slots in every row as its longest text has tokens:
        # a row that is nearly full, with a short text, beside one with the longest text needs so
        # many slots of padding more, also where the context bounds what it holds.
        padding = max(chain((0,), *given))
        return min(self._pretrained.context_positions, most) + padding

    def _told(self) -> Iterator[Event]:
        while self._events:
            yield self._events.popleft()

    def _generate(self, passes: Passes, group: list[Continuation], shape: StreamShape) -> None:
        """Generates one item for each request, with the marks that open and close it."""
        pretrained, settings = self._pretrained, self._settings
        passes.open_items(group, shape)
        members = [each.member for each in group]
        told = settings.guidance, settings.inner_guidance, settings.told_step
        canvas = Canvas(pretrained, shape, passes.history, members, *told)
        noise = [item_noise(each.request.seed, each.num_items, shape) for each in group]
        noise_NPC = torch.stack(noise).to(pretrained.device)
        times = time_grid(settings.steps, pretrained.shift(shape))
        z_NPC = denoise(canvas.velocity, noise_NPC, times, settings.solver)
        passes.finish_items(group, shape, z_NPC)
        if not all(each.ended for each in group):
            passes.close_items(group, shape, z_NPC)
