"""Items of a stream as a run meets them: by the shares and in the order of its sources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from chiasm.batch.streams import Streams
from chiasm.data.encoding import DocumentEncoder
from chiasm.data.mixture import Condition, Lane, Mixture
from chiasm.data.reading import ReadingLog, defect
from chiasm.data.tokenizer import TextTokenizer
from chiasm.documents import Continuous, Source
from chiasm.errors import UserError
from chiasm.recipe import Recipe
from chiasm.tokenizers.tokenizer import Tokenizer

MOST_ITEMS = 1024
"""Items that are given, and documents that they are chosen from: a video has many of one scene."""
LOOKED_AT = 256
"""Documents of each source that tell whether it has items of the stream."""


class TrainingItem(NamedTuple):
    """An item, with the name of its source and its document's number there."""

    item: Continuous
    source: str
    number: int

    def read(self, tokenizer: Tokenizer) -> Tensor | None:
        """Returns the item; None where it is broken, which the stream counts and reports."""
        try:
            return tokenizer.read(self.item.data)
        except UserError:
            return None
        except Exception as error:
            raise defect(f"{self.source}[{self.number}]", error) from error


def training_items(
    recipe: Recipe,
    train: Mapping[str, Source],
    tokenizer: TextTokenizer,
    streams: Streams,
    stream: str,
) -> list[TrainingItem]:
    """Returns items of a stream, spread evenly over the first documents of the training.

    Sources take turns by their weights of positions, as in training, so that statistics of these
    items are those of the items that the model learns from. Sources without items of the stream
    are left out first.

    Raises:
        UserError: most documents of a source are bad, or hold items of unknown streams.
    """
    name = streams[stream].marks
    sources = {key: source for key, source in train.items() if _has(source, name)}
    if not sources:
        return []
    encoder = DocumentEncoder(tokenizer, streams, recipe.stream.sequence_length)
    weights = {key: recipe.stream.sources[key].weight for key in sources}
    mixture = Mixture(sources, weights, encoder, Lane(0, 1), recipe.seed)
    found: list[TrainingItem] = []
    for _ in range(min(MOST_ITEMS, sum(map(len, sources.values())))):
        found += _next_items(mixture, name)
    kept = min(len(found), MOST_ITEMS)
    return [found[nth * len(found) // kept] for nth in range(kept)]


def _has(source: Source, stream: str) -> bool:
    """Whether one of some documents, spread evenly, has an item of the stream."""
    looked_at = min(len(source), LOOKED_AT)
    numbers = (number * len(source) // looked_at for number in range(looked_at))
    documents = ReadingLog().documents(source, numbers, pictures=False)
    return any(item.stream == stream for _, document in documents for item in document.items)


def _next_items(mixture: Mixture, stream: str) -> list[TrainingItem]:
    """Returns the items of the next document, whatever pieces it is split into."""
    while (drawn := next(mixture).document)[2] == Condition.CONTINUED:
        pass
    source, number, condition, turn = drawn
    if condition in (Condition.EMPTY, Condition.UNREADABLE):
        return []
    items = mixture.read(source, number, turn).items
    name = mixture.names[source]
    return [TrainingItem(item, name, number) for item in items if item.stream == stream]
