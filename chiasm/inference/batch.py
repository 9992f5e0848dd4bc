"""One batch of requests: a state machine for each request, run in groups.

    WRITING     choose the next token; text is read into the cache one token at a time
                a mark that opens an item → GENERATING    <eod>, a stop string, a limit → ENDED
    GENERATING  read that mark; solve the flow from noise to data with guidance; read the finished
                item at t = 1, and the mark that closes it → WRITING, or GENERATING behind a text of
                the request's script

All requests that write take one step together; when none writes, all that wait with an open item of
one stream generate together. A request's result is a function of the request, its seed and the
settings: all draws are keyed by the seed and by the request's own counters, whatever runs beside
it. (Batching may change the rounding of an item's last bits, as any change of shape does.)

Shape suffixes: B requests of a group, V vocabulary, N items, P latent tokens of one item, C latent
channels, D width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from chiasm.data.encoding import FRAME_TOKENS
from chiasm.documents import Continuous, Span, Text
from chiasm.inference.canvas import Canvas, item_passage
from chiasm.inference.choice import choose_tokens, item_noise, token_draw
from chiasm.inference.history import History
from chiasm.inference.passage import Passage
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.progress import Progress, State
from chiasm.inference.request import (
    Ended,
    Ending,
    Generated,
    Listener,
    Request,
    SamplingSettings,
    TextWritten,
)
from chiasm.inference.solvers import denoise, time_grid
from chiasm.inference.writer import Writer


class Batch:
    """One batch of requests from their prompts to their ends."""

    def __init__(
        self, pretrained: Pretrained, settings: SamplingSettings, listener: Listener
    ) -> None:
        self._settings, self._tell = settings, listener
        self._decoder, self._flow = pretrained.decoder, pretrained.flow
        self._tokenizer, self._tokenizers = pretrained.text_tokenizer, pretrained.tokenizers
        self._context = pretrained.context_positions
        self._shift = pretrained.shift
        self._streams, self._marks = self._decoder.shapes, self._tokenizer.marks
        self._stream_of = {self._marks[name].begin: name for name in self._streams.generated}
        self._forbidden_V = self._never_chosen()

    def run(
        self, requests: Sequence[Request], prompts: Sequence[Passage], first_number: int
    ) -> list[list[Span]]:
        """The new spans of each request."""
        settings = self._settings
        sizes = [self._streams[name].num_tokens for name in self._stream_of.values()]
        largest = max(sizes, default=0) + FRAME_TOKENS
        most_new = settings.max_tokens + settings.max_items * largest
        given = [[len(self._tokenizer.encode(text)) for text in r.script] for r in requests]
        most = max(map(len, prompts)) + most_new + max(map(sum, given))
        # Rows of one pass are padded to its longest text, past the end of what a row holds.
        padding = max((max(lengths, default=0) for lengths in given), default=0)
        capacity = min(self._context, most) + padding
        self._history = History(self._decoder, len(requests), capacity)
        last_BD = self._read_prompts(requests, prompts)
        everyone = [
            Progress(first_number + member, member, request, self._new_writer(), last_BD[member])
            for member, request in enumerate(requests)
        ]
        if scripted := [progress for progress in everyone if progress.request.script]:
            scripted = self._gathered(scripted)
            texts = [self._tokenizer.encode(self._next_text(each)) for each in scripted]
            self._read(scripted, [Passage.of_text(text) for text in texts])
        for progress in everyone:
            self._end_if_spent(progress)
        while any(progress.state is not State.ENDED for progress in everyone):
            if writing := self._in_state(everyone, State.WRITING):
                self._write(writing)
            else:
                waiting = [each for each in everyone if each.state is State.GENERATING]
                stream = waiting[0].stream
                self._generate(self._gathered([p for p in waiting if p.stream == stream]))
        return [progress.spans for progress in everyone]

    def _read_prompts(self, requests: Sequence[Request], prompts: Sequence[Passage]) -> Tensor:
        """The hidden vector [B, D] at each prompt's last position."""
        members_of: dict[int, list[int]] = {}
        for member, request in enumerate(requests):
            members_of.setdefault(id(request.spans), []).append(member)
        group = self._history.gather([members[0] for members in members_of.values()])
        spans = [span for member in group for span in requests[member].spans]
        items = [span for span in spans if isinstance(span, Continuous)]
        latents = self._tokenizers.encode_spans(items, self._decoder.device)
        read_GD = self._history.read(group, [prompts[member] for member in group], latents)
        last_BD = read_GD.new_empty(len(requests), read_GD.shape[1])
        for member, last_D in zip(group, read_GD, strict=True):
            alike = members_of[id(requests[member].spans)]
            self._history.copy(member, alike[1:])
            last_BD[alike] = last_D
        return last_BD

    def _next_text(self, progress: Progress) -> str:
        """The text that the request gives before its next item; it is part of the result."""
        text = progress.request.script[progress.num_items]
        progress.spans.append(Text(text))
        return text

    def _write(self, writing: list[Progress]) -> None:
        """One token for each request."""
        last_BD = torch.stack([progress.last_D for progress in writing])
        logits_BV = self._decoder.text_logits(last_BD).float() + self._forbidden_V
        draw_B = [token_draw(p.request.seed, p.num_choices) for p in writing]
        settings = self._settings
        tokens = choose_tokens(logits_BV, draw_B, settings.temperature, settings.top_k)
        token_of = {p.member: token for p, token in zip(writing, tokens, strict=True)}
        for progress in writing:
            self._take(progress, token_of[progress.member])
        if going_on := self._in_state(writing, State.WRITING):
            self._read(going_on, [Passage.of_text([token_of[p.member]]) for p in going_on])

    def _take(self, progress: Progress, token: int) -> None:
        """What a chosen token does to its request."""
        progress.num_choices += 1
        free_positions = self._context - self._history.held(progress.member)
        if token == self._tokenizer.eod_id:
            self._end(progress, Ending.DOCUMENT)
        elif stream := self._stream_of.get(token):
            if progress.num_items == self._settings.max_items:
                self._end(progress, Ending.MAX_ITEMS)
            elif free_positions < self._streams[stream].num_tokens + FRAME_TOKENS:
                self._end(progress, Ending.CONTEXT)
            else:
                progress.state, progress.stream = State.GENERATING, stream
        elif progress.num_tokens == self._settings.max_tokens:
            self._end(progress, Ending.MAX_TOKENS)
        elif free_positions == 0:
            self._end(progress, Ending.CONTEXT)
        else:
            progress.num_tokens += 1
            self._tell_text(progress, progress.writer.add(token))
            if progress.writer.stopped:
                self._end(progress, Ending.STOP)
            self._end_if_spent(progress)

    def _generate(self, group: list[Progress]) -> None:
        """One item for each request, from the mark that opens it to the one that closes it."""
        shape, settings = self._streams[group[0].stream], self._settings
        marks = self._marks[shape.name]
        self._read(group, [Passage.of_text([marks.begin])] * len(group))
        canvas = Canvas(
            self._decoder,
            shape.name,
            self._flow.of(shape.name).prediction,
            self._history,
            [progress.member for progress in group],
            marks,
            settings.guidance,
        )
        noise = [item_noise(p.request.seed, p.num_items, shape) for p in group]
        noise_NPC = torch.stack(noise).to(self._decoder.device)
        times = time_grid(settings.steps, self._shift(shape.name))
        z_NPC = denoise(canvas.velocity, noise_NPC, times, settings.solver)
        items = self._tokenizers.decode(shape.name, z_NPC)
        for progress, z_PC, item in zip(group, z_NPC, items, strict=True):
            self._finish_item(progress, z_PC, item)
        latents_of = {p.member: z_PC for p, z_PC in zip(group, z_NPC, strict=True)}
        if going_on := [progress for progress in group if progress.state is not State.ENDED]:
            # The last solver step read an unfinished item; what is kept is read at t = 1.
            going_on = self._gathered(going_on)
            made = torch.cat([latents_of[each.member] for each in going_on])
            self._read(going_on, [self._closed(each) for each in going_on], {shape.name: made})

    def _closed(self, progress: Progress) -> Passage:
        """The rest of a finished item, and the text that the request gives behind it."""
        shape, marks = self._streams[progress.stream], self._marks[progress.stream]
        closed = item_passage(shape, marks, closed=True)
        if progress.state is State.WRITING:
            return closed
        return closed.then(self._tokenizer.encode(self._next_text(progress)))

    def _finish_item(self, progress: Progress, z_PC: Tensor, item: Continuous) -> None:
        self._finish_text(progress)
        progress.spans.append(item)
        self._tell(Generated(progress.number, item, z_PC))
        progress.num_items += 1
        given = progress.num_items < progress.request.num_given_items
        progress.state = State.GENERATING if given else State.WRITING
        self._end_if_spent(progress)

    def _read(
        self,
        group: list[Progress],
        passages: list[Passage],
        latents: Mapping[str, Tensor] | None = None,
    ) -> None:
        last_BD = self._history.read([progress.member for progress in group], passages, latents)
        for progress, last_D in zip(group, last_BD, strict=True):
            progress.last_D = last_D

    def _in_state(self, among: list[Progress], state: State) -> list[Progress]:
        """Those in a state, gathered in the first rows of the cache and in their order."""
        return self._gathered([progress for progress in among if progress.state is state])

    def _gathered(self, group: list[Progress]) -> list[Progress]:
        """The group in the order of its rows, which are the first ones."""
        progress_of = {progress.member: progress for progress in group}
        return [progress_of[member] for member in self._history.gather(list(progress_of))]

    def _end_if_spent(self, progress: Progress) -> None:
        """Where neither a token nor an item is left, no further choice needs a pass."""
        settings = self._settings
        spent = progress.num_tokens == settings.max_tokens
        if progress.state is State.WRITING and spent and progress.num_items == settings.max_items:
            self._end(progress, Ending.MAX_TOKENS)

    def _end(self, progress: Progress, ending: Ending) -> None:
        self._finish_text(progress)
        progress.state = State.ENDED
        self._tell(Ended(progress.number, ending))

    def _finish_text(self, progress: Progress) -> None:
        self._tell_text(progress, progress.writer.finish())
        if progress.writer.text:
            progress.spans.append(Text(progress.writer.text))
        progress.writer = self._new_writer()

    def _tell_text(self, progress: Progress, piece: str) -> None:
        if piece:
            self._tell(TextWritten(progress.number, piece))

    def _new_writer(self) -> Writer:
        return Writer(self._tokenizer.decode, self._settings.stop)

    def _never_chosen(self) -> Tensor:
        """float32 [V]: minus infinity for what is never a target in training, else 0."""
        tokenizer = self._tokenizer
        forbidden_V = torch.zeros(self._decoder.vocabulary, device=self._decoder.device)
        forbidden_V[tokenizer.vocabulary_size :] = -torch.inf
        marks = [mark for marks in tokenizer.marks.values() for mark in marks]
        never = {tokenizer.pad_id, tokenizer.bod_id, *marks} - set(self._stream_of)
        forbidden_V[list(never)] = -torch.inf
        return forbidden_V
