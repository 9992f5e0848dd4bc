"""Passes of the decoder over groups of continuations: prompts, tokens, items that are opened or
closed.

Which continuations run together, and when, is for :mod:`chiasm.inference.batch` and
:mod:`chiasm.inference.continuous` to say; a group is always one of :meth:`Passes.gathered`.

Shape suffixes: B continuations of a group, V vocabulary, N items, P latent tokens of one item, L of
all, C latent channels, D width.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from chiasm.batch.streams import StreamShape
from chiasm.data.encoding import FRAME_TOKENS
from chiasm.documents import Continuous
from chiasm.flow import mix
from chiasm.inference.canvas import item_passage
from chiasm.inference.choice import MADE_NOISE, choose_tokens, item_noise
from chiasm.inference.continuation import Continuation, never_chosen
from chiasm.inference.history import History, with_noise
from chiasm.inference.passage import Passage
from chiasm.inference.pretrained import Pretrained


class Passes:
    """Reads for groups of continuations, and writes.

    Args:
        pretrained: the model.
        history: the continuations' rows.
    """

    def __init__(self, pretrained: Pretrained, history: History) -> None:
        self.history = history
        self._pretrained, self._decoder = pretrained, pretrained.decoder
        self._tokenizer = pretrained.text_tokenizer
        self._forbidden_V = never_chosen(pretrained)

    def gathered(self, group: Sequence[Continuation]) -> list[Continuation]:
        """Returns the group in the order of its rows, moved to the first rows of the cache."""
        own = {each.member: each for each in group}
        return [own[member] for member in self.history.gather(list(own))]

    def read_prompts(self, everyone: Sequence[Continuation]) -> None:
        """Reads all prompts in one pass; requests that share one ``spans`` object are read once."""
        alike: dict[int, list[Continuation]] = defaultdict(list)
        for each in everyone:
            alike[id(each.request.spans)].append(each)
        group = self.gathered([first for first, *_ in alike.values()])
        spans = [span for each in group for span in each.request.spans]
        items = [span for span in spans if isinstance(span, Continuous)]
        latents = self._pretrained.tokenizers.encode_spans(items, self._decoder.device)
        prompts = [each.prompt for each in group]
        noise = [each.settings.history_noise * each.request.imagined for each in group]
        if any(noise):
            seeds, streams = [each.request.seed for each in group], self._decoder.shapes
            self._read(group, prompts, *with_noise(streams, prompts, latents, noise, seeds))
        else:
            self._read(group, prompts, latents)
        for first, *others in alike.values():
            self.history.copy(first.member, [each.member for each in others])
            for each in others:
                each.last_D = first.last_D

    def write(self, writing: Sequence[Continuation]) -> None:
        """Samples one token for each continuation, and reads those that are text."""
        last_BD = torch.stack([each.last_D for each in writing])
        logits_BV = self._decoder.text_logits(last_BD).float() + self._forbidden_V
        tokens: dict[Continuation, int] = {}
        for rows in _choosing_alike(writing):
            own, settings = [writing[row] for row in rows], writing[rows[0]].settings
            logits = logits_BV if len(rows) == len(writing) else logits_BV[rows]
            draws = [each.draw() for each in own]
            chosen = choose_tokens(logits, draws, settings.temperature, settings.top_k)
            tokens.update(zip(own, chosen, strict=True))
        for each in writing:
            each.take(tokens[each], self.history.held(each.member))
        if going_on := self.gathered([c for c in writing if not (c.ended or c.stream)]):
            self._read(going_on, [Passage([tokens[each]]) for each in going_on])

    def open_items(self, group: Sequence[Continuation], shape: StreamShape) -> None:
        """Reads the text that the script gives, and the mark that opens an item."""
        begin = self._tokenizer.marks[shape.name].begin
        opened = [Passage([*each.given_text(), begin]) for each in group]
        self._make_room(group, opened, shape.num_tokens + FRAME_TOKENS)
        self._read(group, opened)

    def finish_items(
        self, group: Sequence[Continuation], shape: StreamShape, z_NPC: Tensor
    ) -> None:
        """Decodes finished items, and tells them."""
        items = self._pretrained.tokenizers.decode(shape, z_NPC)
        for each, z_PC, item in zip(group, z_NPC, items, strict=True):
            each.finish_item(shape, z_PC, item)

    def close_items(self, group: Sequence[Continuation], shape: StreamShape, z_NPC: Tensor) -> None:
        """Reads finished items, and the mark that closes each.

        The last solver step read an unfinished item; what is kept is read at t = 1, or as near to
        it as the settings say.
        """
        marks, z_LC = self._tokenizer.marks[shape.name], z_NPC.flatten(0, 1)
        time: float | dict[str, Tensor] = 1.0
        if any(each.settings.history_noise for each in group):
            keys = [(each.request.seed, each.num_items - 1) for each in group]
            noise_LC = torch.cat([item_noise(*key, shape, MADE_NOISE) for key in keys])
            times = [1 - each.settings.history_noise for each in group]
            time_L = torch.tensor(times, device=z_LC.device).repeat_interleave(shape.num_tokens)
            z_LC, time = mix(z_LC, noise_LC.to(z_LC.device), time_L), {shape.name: time_L}
        closed = [item_passage(shape, marks, closed=True)] * len(group)
        self._read(group, closed, {shape.name: z_LC}, time)

    def _make_room(
        self, group: Sequence[Continuation], opened: Sequence[Passage], item: int
    ) -> None:
        """Lets the oldest items leave full windows, before text and mark of the next one."""
        gone, context = {}, self._pretrained.context_positions
        for each, passage in zip(group, opened, strict=True):
            held, text = self.history.held(each.member), len(passage) - 1
            gone[each.member] = each.window.make_room(held, text, item, context)
        if leaving := {member: count for member, count in gone.items() if count}:
            self.history.forget(leaving, Passage([self._tokenizer.bod_id]))

    def _read(
        self,
        group: Sequence[Continuation],
        passages: Sequence[Passage],
        latents: Mapping[str, Tensor] | None = None,
        time: float | Mapping[str, Tensor] = 1.0,
    ) -> None:
        members = [each.member for each in group]
        last_BD = self.history.read(members, passages, latents, time)
        for each, last_D in zip(group, last_BD, strict=True):
            each.last_D = last_D


def _choosing_alike(writing: Sequence[Continuation]) -> list[list[int]]:
    """Returns the numbers of those that choose tokens in one way, group by group."""
    alike: dict[tuple[float, int | None], list[int]] = defaultdict(list)
    for row, each in enumerate(writing):
        alike[each.settings.temperature, each.settings.top_k].append(row)
    return list(alike.values())
