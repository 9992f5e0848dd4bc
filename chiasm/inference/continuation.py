"""What follows one request, as far as it is made: the state machine of a single document.

    WRITING     the next token is chosen; text is told as it settles
                a mark that opens an item → GENERATING    <eod>, a stop string, a limit → ENDED
    GENERATING  an item of :attr:`Continuation.stream` is due, behind a text of the request's script
                if there is one → WRITING, or GENERATING where the script has another text

Whoever runs it reads tokens and items into the cache, alone or beside others: nothing here depends
on what runs beside a request.

Shape suffixes: V vocabulary, P latent tokens of one item, C latent channels, D width.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from chiasm.batch.streams import StreamShape
from chiasm.data.encoding import FRAME_TOKENS
from chiasm.documents import Continuous, Span, Text
from chiasm.inference.choice import token_draw
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
from chiasm.inference.window import Window
from chiasm.inference.writer import Writer


class Continuation:
    """What follows one request.

    Args:
        pretrained: the model.
        request: what is asked for.
        settings: how to write and generate.
        prompt: the request's spans.
        number: the request's number in its events.
        member: the number of its row in the history.
        tell: called with each event as it happens.
    """

    def __init__(
        self,
        pretrained: Pretrained,
        request: Request,
        settings: SamplingSettings,
        prompt: Passage,
        *,
        number: int,
        member: int,
        tell: Callable[[Event], None],
    ) -> None:
        self.request, self.settings, self.prompt = request, settings, prompt
        self.number, self.member = number, member
        self.spans: list[Span] = []
        """What has been made."""
        self.last_D: Tensor
        """Hidden vector at the last position read: it predicts the next token."""
        self.num_items = 0
        self.ended = False
        self._pretrained, self._tell = pretrained, tell
        self._tokenizer, self._streams = pretrained.text_tokenizer, pretrained.decoder.shapes
        self._num_choices = self._num_tokens = 0
        self._opened = ""
        """Stream of the item that the model itself has opened."""
        self._grids = {item.stream: item.grid for item in prompt.items}
        """Grid of the last item of each stream."""
        self.window = Window(request.window, prompt)
        """Items that the document holds."""
        self._writer = self._new_writer()

    @property
    def stream(self) -> str:
        """Stream of the item to generate next; empty where text is to be written."""
        given = self.num_items < self.request.num_given_items
        return self.request.stream if given else self._opened

    @property
    def shape(self) -> StreamShape:
        """Shape of the item to generate next."""
        return self._shape(self.stream)

    def draw(self) -> float:
        """Returns the uniform number in [0, 1) that chooses the next token."""
        return token_draw(self.request.seed, self._num_choices)

    def given_text(self) -> list[int]:
        """Returns the tokens of the script's next text, and adds that text to the result."""
        given = self.request.script[self.num_items : self.num_items + 1]
        self.spans += map(Text, given)
        return [token for text in given for token in self._tokenizer.encode(text)]

    def take(self, token: int, held: int) -> None:
        """Applies a chosen token: opens an item, adds text, or ends.

        ``held``: the positions that the request has read.
        """
        self._num_choices += 1
        stream, settings = openings(self._pretrained).get(token, ""), self.settings
        size = self._shape(stream).num_tokens + FRAME_TOKENS if stream else 1
        if token == self._tokenizer.eod_id:
            self._end(Ending.DOCUMENT)
        elif stream and self.num_items == settings.max_items:
            self._end(Ending.MAX_ITEMS)
        elif not stream and self._num_tokens == settings.max_tokens:
            self._end(Ending.MAX_TOKENS)
        elif held + size > self._pretrained.context_positions:
            self._end(Ending.CONTEXT)
        elif stream:
            self._opened = stream
        else:
            self._num_tokens += 1
            self._tell_text(self._writer.add(token))
            if self._writer.stopped:
                self._end(Ending.STOP)
            else:
                self.end_if_spent()

    def finish_item(self, shape: StreamShape, z_PC: Tensor, item: Continuous) -> None:
        """Adds an item, of the latents [P, C]."""
        self._grids[shape.name] = shape.grid
        self._finish_text()
        self.spans.append(item)
        self._tell(Generated(self.number, item, z_PC))
        self.num_items += 1
        self._opened = ""
        self.end_if_spent()

    def end_if_spent(self) -> None:
        """Ends it where it may take neither token nor item: no choice needs another pass."""
        settings = self.settings
        spent = self._num_tokens == settings.max_tokens
        if not self.stream and spent and self.num_items == settings.max_items:
            self._end(Ending.MAX_TOKENS)

    def _shape(self, stream: str) -> StreamShape:
        shape = self._streams[stream]
        if not shape.varies:
            return shape
        if (aspect := self.settings.aspect) is not None:
            return shape.on(self._pretrained.tokenizers.of(shape.name).encoder.grid_by(aspect))
        return shape.on(self._grids.get(shape.name, shape.grid))

    def _end(self, ending: Ending) -> None:
        self._finish_text()
        self.ended = True
        self._tell(Ended(self.number, ending))

    def _finish_text(self) -> None:
        self._tell_text(self._writer.finish())
        if self._writer.text:
            self.spans.append(Text(self._writer.text))
        self._writer = self._new_writer()

    def _tell_text(self, piece: str) -> None:
        if piece:
            self._tell(TextWritten(self.number, piece))

    def _new_writer(self) -> Writer:
        return Writer(self._tokenizer.decode, self.settings.stop)


def openings(pretrained: Pretrained) -> dict[int, str]:
    """Returns the stream of each mark that opens an item which can be generated."""
    marks = pretrained.text_tokenizer.marks
    return {marks[name].begin: name for name in pretrained.decoder.shapes.generated}


def never_chosen(pretrained: Pretrained) -> Tensor:
    """Returns float32 [V]: minus infinity for tokens that are no target in training, else 0."""
    tokenizer, decoder = pretrained.text_tokenizer, pretrained.decoder
    forbidden_V = torch.zeros(decoder.vocabulary, device=decoder.device)
    forbidden_V[tokenizer.vocabulary_size :] = -torch.inf
    marks = [mark for marks in tokenizer.marks.values() for mark in marks]
    never = {tokenizer.pad_id, tokenizer.bod_id, *marks} - set(openings(pretrained))
    forbidden_V[list(never)] = -torch.inf
    return forbidden_V
