"""Log-likelihoods of continuations: packed together for speed, each as if it stood alone.

Continuations that are predicted from the same tokens (the one-token answers to one question) are
read once. Shape suffixes: M positions of a packed batch, R predicted tokens.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch

from chiasm.data.encoding import Piece
from chiasm.data.packing import pack_pieces
from chiasm.documents import Document
from chiasm.evaluation.scoring import hidden_vectors
from chiasm.inference.pretrained import Pretrained

Tokens = tuple[int, ...]

LOGITS_AT_ONCE = 1024
"""Predicted tokens whose scores of the whole vocabulary are held at once."""


class Continuation(NamedTuple):
    """Tokens to be scored behind others; ``<bod>`` stands before both."""

    context: Tokens
    tokens: Tokens
    """At least one."""

    @property
    def read(self) -> Tokens:
        """All that is read behind ``<bod>`` to predict the tokens."""
        return (*self.context, *self.tokens[:-1])


class Likelihood(NamedTuple):
    """What a model makes of a continuation."""

    log_probability: float
    """Sum of the natural logarithms of its tokens' probabilities."""
    greedy: bool
    """Whether each token is the most probable one at its place."""


@torch.inference_mode()
def likelihoods(
    continuations: Sequence[Continuation], pretrained: Pretrained, rows: int
) -> Iterator[tuple[int, Likelihood]]:
    """Yields the likelihood of each continuation with its number, the longest first.

    ``rows`` are those of a pass, each as long as the model's context. None of the continuations
    may be longer than that: ``<bod>`` and what is read behind it.
    """
    alike: dict[Tokens, list[int]] = defaultdict(list)
    for number, each in enumerate(continuations):
        alike[each.read].append(number)
    width = pretrained.context_positions
    for content in _passes(sorted(alike, key=len, reverse=True), rows, width):
        x_MD = _hidden(content, pretrained)
        asked = [(number, end) for read, end in _ends(content, width) for number in alike[read]]
        label_R = [token for number, _ in asked for token in continuations[number].tokens]
        position_R = [
            position
            for number, end in asked
            for position in range(end - len(continuations[number].tokens), end)
        ]
        gain_R, best_R = _predicted(x_MD, position_R, label_R, pretrained)
        begin = 0
        for number, _ in asked:
            own = slice(begin, begin := begin + len(continuations[number].tokens))
            yield number, Likelihood(sum(gain_R[own]), all(best_R[own]))


def _passes(documents: Iterable[Tokens], rows: int, width: int) -> Iterator[list[list[Tokens]]]:
    """Yields the documents of each pass by row; a document goes into the first row with room."""
    content: list[list[Tokens]] = []
    free: list[int] = []
    for document in documents:
        size = 1 + len(document)
        place = next((row for row, room in enumerate(free) if room >= size), len(free))
        if place == rows:
            yield content
            content, free, place = [], [], 0
        if place == len(free):
            content.append([])
            free.append(width)
        content[place].append(document)
        free[place] -= size
    if content:
        yield content


def _hidden(content: list[list[Tokens]], pretrained: Pretrained) -> torch.Tensor:
    """Returns the hidden vectors [M, D] of rows of documents behind ``<bod>``."""
    bod, nothing = pretrained.text_tokenizer.bod_id, Document(())
    packed = [
        [(Piece(np.array([bod, *document])), nothing, 0) for document in documents]
        for documents in content
    ]
    batch = pack_pieces(
        packed, pretrained.text_tokenizer, pretrained.tokenizers, pretrained.context_positions
    )
    return hidden_vectors(batch.to(pretrained.device), pretrained)


def _ends(content: list[list[Tokens]], width: int) -> Iterator[tuple[Tokens, int]]:
    """Yields each document with the position behind its last token."""
    for row, documents in enumerate(content):
        end = row * width
        for document in documents:
            end += 1 + len(document)
            yield document, end


def _predicted(
    x_MD: torch.Tensor, position_R: list[int], label_R: list[int], pretrained: Pretrained
) -> tuple[list[float], list[bool]]:
    """Returns the log-probability of each label at its position, and whether it is the largest."""
    gain_R: list[float] = []
    best_R: list[bool] = []
    for begin in range(0, len(label_R), LOGITS_AT_ONCE):
        chunk = slice(begin, begin + LOGITS_AT_ONCE)
        at_R, of_R = (torch.tensor(own[chunk], device=x_MD.device) for own in (position_R, label_R))
        logits_RV = pretrained.decoder.text_logits(x_MD[at_R]).float()
        gain_R += logits_RV.log_softmax(1).gather(1, of_R[:, None])[:, 0].tolist()
        best_R += (logits_RV.argmax(1) == of_R).tolist()
    return gain_R, best_R
