"""One batch of requests: a state machine for each request, run in groups.

    WRITING     choose the next token; text is read into the cache one token at a time
                a mark that opens an item → GENERATING    <eod>, a stop string, a limit → ENDED
    GENERATING  read that mark, behind a text of the request's script if there is one; solve the
                flow from noise to data with guidance; read the finished item at t = 1, and the
                mark that closes it → WRITING, or GENERATING where the script has another text

All requests that write take one step together; when none writes, all that wait with an open item of
one stream and grid generate together. A request's result is a function of the request, its seed
and the settings: all draws are keyed by the seed and by the request's own counters, whatever runs
beside it. (Batching may change the rounding of an item's last bits, as any change of shape does.)

Shape suffixes: B requests of a group, V vocabulary, N items, P latent tokens of one item, C latent
channels, D width.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import torch
from torch import Tensor

from chiasm.batch.streams import StreamShape
from chiasm.data.encoding import FRAME_TOKENS
from chiasm.documents import Continuous, Span, Text
from chiasm.inference.canvas import Canvas, item_passage
from chiasm.inference.choice import (
    MADE_NOISE,
    choose_tokens,
    item_noise,
    token_draw,
)
from chiasm.inference.history import History, with_noise
from chiasm.inference.passage import Passage
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import (
    Ended,
    Ending,
    Event,
    Generated,
    Request,
    SamplingSettings,
    TextWritten,
)
from chiasm.inference.solvers import denoise, time_grid
from chiasm.inference.window import Window
from chiasm.inference.writer import Writer


@dataclass(eq=False)
class RequestState:
    """State of one request; ``member`` is its number in the running batch."""

    number: int
    member: int
    request: Request
    writer: Writer
    last_D: Tensor = field(init=False)
    """Hidden vector at the last position read: it predicts the next token."""
    spans: list[Span] = field(default_factory=list)
    num_choices: int = 0
    num_tokens: int = 0
    num_items: int = 0
    opened: str = ""
    """Stream of the item that the model itself has opened."""
    grids: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Grid of the last item of each stream."""
    window: Window = field(init=False)
    """Items that the document holds."""
    ended: bool = False

    @property
    def stream(self) -> str:
        """Stream of the item to generate next; empty where text is to be written."""
        given = self.num_items < self.request.num_given_items
        return self.request.stream if given else self.opened


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
        self._pretrained, self._settings, self._prompts = pretrained, settings, prompts
        self._decoder, self._tokenizer = pretrained.decoder, pretrained.text_tokenizer
        self._streams, self._context = self._decoder.shapes, pretrained.context_positions
        marks = self._tokenizer.marks
        self._stream_of = {marks[name].begin: name for name in self._streams.generated}
        self._forbidden_V = self._never_chosen()
        self._everyone = [
            RequestState(first_number + member, member, request, self._new_writer())
            for member, request in enumerate(requests)
        ]
        for progress, prompt in zip(self._everyone, prompts, strict=True):
            progress.grids = {item.stream: item.grid for item in prompt.items}
            progress.window = Window(progress.request.window, prompt)
        self._events: deque[Event] = deque()

    @property
    def spans(self) -> list[list[Span]]:
        """The new spans of each request, once the batch has run."""
        return [progress.spans for progress in self._everyone]

    def run(self) -> Iterator[Event]:
        """Yields events as they happen, until all requests have ended."""
        everyone, settings = self._everyone, self._settings
        sizes = [self._streams[name].num_tokens for name in self._stream_of.values()]
        largest = max(sizes, default=0) + FRAME_TOKENS
        most_new = settings.max_tokens + settings.max_items * largest
        scripts = [progress.request.script for progress in everyone]
        given = [[len(self._tokenizer.encode(text)) for text in script] for script in scripts]
        most = max(map(len, self._prompts)) + most_new + max(map(sum, given))
        # `most` bounds what a row comes to hold: its prompt, its script, and all that it may write
        # and generate. But a pass writes as many slots in every row as its longest text has tokens:
        # a row that is nearly full, with a short text, beside one with the longest text needs so
        # many slots of padding more, also where the context bounds what it holds.
        padding = max(chain((0,), *given))
        capacity = min(self._context, most) + padding
        self._history = History(self._decoder, len(everyone), capacity)
        self._read_prompts()
        for progress in everyone:
            self._end_if_spent(progress)
        while going_on := [progress for progress in everyone if not progress.ended]:
            if writing := [progress for progress in going_on if not progress.stream]:
                self._write(self._gathered(writing))
            else:
                shape = self._shape(going_on[0])
                alike = [progress for progress in going_on if self._shape(progress) == shape]
                self._generate(self._gathered(alike), shape)
            yield from self._told()
        yield from self._told()

    def _told(self) -> Iterator[Event]:
        while self._events:
            yield self._events.popleft()

    def _read_prompts(self) -> None:
        """Reads all prompts in one pass; requests that share one ``spans`` object are read once."""
        alike: dict[int, list[RequestState]] = defaultdict(list)
        for progress in self._everyone:
            alike[id(progress.request.spans)].append(progress)
        group = self._gathered([first for first, *_ in alike.values()])
        spans = [span for progress in group for span in progress.request.spans]
        items = [span for span in spans if isinstance(span, Continuous)]
        latents = self._pretrained.tokenizers.encode_spans(items, self._decoder.device)
        prompts = [self._prompts[progress.member] for progress in group]
        noise = [self._settings.history_noise * progress.request.imagined for progress in group]
        if any(noise):
            seeds = [progress.request.seed for progress in group]
            self._read(group, prompts, *with_noise(self._streams, prompts, latents, noise, seeds))
        else:
            self._read(group, prompts, latents)
        for first, *others in alike.values():
            self._history.copy(first.member, [progress.member for progress in others])
            for progress in others:
                progress.last_D = first.last_D

    def _given_text(self, progress: RequestState) -> list[int]:
        """Returns the tokens of the script's next text, and adds that text to the result."""
        given = progress.request.script[progress.num_items : progress.num_items + 1]
        progress.spans += map(Text, given)
        return [token for text in given for token in self._tokenizer.encode(text)]

    def _write(self, writing: list[RequestState]) -> None:
        """Samples one token for each request, and reads those that are text."""
        last_BD = torch.stack([progress.last_D for progress in writing])
        logits_BV = self._decoder.text_logits(last_BD).float() + self._forbidden_V
        draw_B = [token_draw(p.request.seed, p.num_choices) for p in writing]
        settings = self._settings
        tokens = choose_tokens(logits_BV, draw_B, settings.temperature, settings.top_k)
        token_of = dict(zip(writing, tokens, strict=True))
        for progress, token in token_of.items():
            self._take(progress, token)
        if going_on := self._gathered([p for p in writing if not (p.ended or p.stream)]):
            self._read(going_on, [Passage([token_of[progress]]) for progress in going_on])

    def _take(self, progress: RequestState, token: int) -> None:
        """Applies a chosen token to its request: opens an item, adds text, or ends it."""
        progress.num_choices += 1
        stream, settings = self._stream_of.get(token), self._settings
        size = self._shape(progress, stream).num_tokens + FRAME_TOKENS if stream else 1
        if token == self._tokenizer.eod_id:
            self._end(progress, Ending.DOCUMENT)
        elif stream and progress.num_items == settings.max_items:
            self._end(progress, Ending.MAX_ITEMS)
        elif not stream and progress.num_tokens == settings.max_tokens:
            self._end(progress, Ending.MAX_TOKENS)
        elif self._history.held(progress.member) + size > self._context:
            self._end(progress, Ending.CONTEXT)
        elif stream:
            progress.opened = stream
        else:
            progress.num_tokens += 1
            self._tell_text(progress, progress.writer.add(token))
            if progress.writer.stopped:
                self._end(progress, Ending.STOP)
            else:
                self._end_if_spent(progress)

    def _shape(self, progress: RequestState, stream: str = "") -> StreamShape:
        """Returns the shape of a request's next item, of its own stream unless one is given."""
        shape = self._streams[stream or progress.stream]
        if not shape.varies:
            return shape
        if (aspect := self._settings.aspect) is not None:
            return shape.on(self._pretrained.tokenizers.of(shape.name).encoder.grid_by(aspect))
        return shape.on(progress.grids.get(shape.name, shape.grid))

    def _generate(self, group: list[RequestState], shape: StreamShape) -> None:
        """Generates one item for each request, with the marks that open and close it."""
        marks, settings = self._tokenizer.marks[shape.name], self._settings
        opened = [Passage([*self._given_text(p), marks.begin]) for p in group]
        self._make_room(group, opened, shape.num_tokens + FRAME_TOKENS)
        self._read(group, opened)
        members = [progress.member for progress in group]
        told = settings.guidance, settings.inner_guidance, settings.told_step
        canvas = Canvas(self._pretrained, shape, self._history, members, *told)
        noise = [item_noise(p.request.seed, p.num_items, shape) for p in group]
        noise_NPC = torch.stack(noise).to(self._decoder.device)
        times = time_grid(settings.steps, self._pretrained.shift(shape))
        z_NPC = denoise(canvas.velocity, noise_NPC, times, settings.solver)
        items = self._pretrained.tokenizers.decode(shape, z_NPC)
        for progress, z_PC, item in zip(group, z_NPC, items, strict=True):
            progress.grids[shape.name] = shape.grid
            self._finish_item(progress, z_PC, item)
        if not all(progress.ended for progress in group):
            # The last solver step read an unfinished item; what is kept is read at t = 1, or as
            # near to it as the settings say.
            closed, time = [item_passage(shape, marks, closed=True)] * len(group), 1.0
            if settings.history_noise:
                time -= settings.history_noise
                keys = [(p.request.seed, p.num_items - 1) for p in group]
                made = [item_noise(*key, shape, MADE_NOISE) for key in keys]
                z_NPC = (1 - time) * torch.stack(made).to(z_NPC.device) + time * z_NPC
            self._read(group, closed, {shape.name: z_NPC.flatten(0, 1)}, time)

    def _make_room(self, group: list[RequestState], opened: list[Passage], item: int) -> None:
        """Lets the oldest items leave full windows, before text and mark of the next one."""
        gone = {}
        for progress, passage in zip(group, opened, strict=True):
            held, text = self._history.held(progress.member), len(passage) - 1
            gone[progress.member] = progress.window.make_room(held, text, item, self._context)
        if leaving := {member: count for member, count in gone.items() if count}:
            self._history.forget(leaving, Passage([self._tokenizer.bod_id]))

    def _finish_item(self, progress: RequestState, z_PC: Tensor, item: Continuous) -> None:
        self._finish_text(progress)
        progress.spans.append(item)
        self._events.append(Generated(progress.number, item, z_PC))
        progress.num_items += 1
        progress.opened = ""
        self._end_if_spent(progress)

    def _read(
        self,
        group: list[RequestState],
        passages: list[Passage],
        latents: Mapping[str, Tensor] | None = None,
        time: float | Mapping[str, Tensor] = 1.0,
    ) -> None:
        members = [progress.member for progress in group]
        last_BD = self._history.read(members, passages, latents, time)
        for progress, last_D in zip(group, last_BD, strict=True):
            progress.last_D = last_D

    def _gathered(self, group: list[RequestState]) -> list[RequestState]:
        """Returns the group in the order of its rows, moved to the first rows of the cache."""
        progress_of = {progress.member: progress for progress in group}
        return [progress_of[member] for member in self._history.gather(list(progress_of))]

    def _end_if_spent(self, progress: RequestState) -> None:
        """Ends a request that may take neither token nor item: no choice needs another pass."""
        settings = self._settings
        spent = progress.num_tokens == settings.max_tokens
        if not progress.stream and spent and progress.num_items == settings.max_items:
            self._end(progress, Ending.MAX_TOKENS)

    def _end(self, progress: RequestState, ending: Ending) -> None:
        self._finish_text(progress)
        progress.ended = True
        self._events.append(Ended(progress.number, ending))

    def _finish_text(self, progress: RequestState) -> None:
        self._tell_text(progress, progress.writer.finish())
        if progress.writer.text:
            progress.spans.append(Text(progress.writer.text))
        progress.writer = self._new_writer()

    def _tell_text(self, progress: RequestState, piece: str) -> None:
        if piece:
            self._events.append(TextWritten(progress.number, piece))

    def _new_writer(self) -> Writer:
        return Writer(self._tokenizer.decode, self._settings.stop)

    def _never_chosen(self) -> Tensor:
        """Returns float32 [V]: minus infinity for tokens that are no target in training, else 0."""
        tokenizer = self._tokenizer
        forbidden_V = torch.zeros(self._decoder.vocabulary, device=self._decoder.device)
        forbidden_V[tokenizer.vocabulary_size :] = -torch.inf
        marks = [mark for marks in tokenizer.marks.values() for mark in marks]
        never = {tokenizer.pad_id, tokenizer.bod_id, *marks} - set(self._stream_of)
        forbidden_V[list(never)] = -torch.inf
        return forbidden_V
