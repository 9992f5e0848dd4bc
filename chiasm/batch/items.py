"""What makes a span's payload an item of its stream: on the reading thread, ahead of a batch."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from chiasm.batch.slots import RawLatents
from chiasm.batch.streams import Streams
from chiasm.documents import Continuous
from chiasm.errors import UserError

Content = Tensor | RawLatents
"""An item as its tokenizer encodes it, or latents that were made of it earlier."""


class CacheError(UserError):
    """A reader of latents fails, and not the item: an end, where broken items are skipped."""


class ItemReader(Protocol):
    """Reads the items of a run's streams; its tokenizers do."""

    @property
    def streams(self) -> Streams:
        """Those that it reads."""

    def grid(self, item: Continuous) -> tuple[int, ...]:
        """Returns the latent tokens along each axis of a span's item, which is not decoded.

        Raises:
            UserError: it is of a stream that the run has not.
        """

    def read(self, item: Continuous) -> Content:
        """Returns the content of a span.

        Raises:
            UserError: the payload is broken, or of a stream that the run has not.
        """
