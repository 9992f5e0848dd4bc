"""How far one request has come.

Shape suffixes: D width.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto

from torch import Tensor

from chiasm.documents import Span
from chiasm.inference.request import Request
from chiasm.inference.writer import Writer


class State(Enum):
    """What a request does next."""

    WRITING = auto()
    GENERATING = auto()
    ENDED = auto()


@dataclass
class Progress:
    """How far one request has come; ``member`` is its number in the batch that runs."""

    number: int
    member: int
    request: Request
    writer: Writer
    last_D: Tensor
    """Hidden vector at the last position read: it predicts the next token."""
    spans: list[Span] = field(default_factory=list)
    num_choices: int = 0
    num_tokens: int = 0
    num_items: int = 0

    def __post_init__(self) -> None:
        self.state = State.GENERATING if self.request.num_given_items else State.WRITING
        self.stream = self.request.stream
        """That the item is of which it generates, or generated last."""
