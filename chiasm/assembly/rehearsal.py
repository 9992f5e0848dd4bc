"""Rehearsal: runs what training never runs and sampling does, once before the first step.

A decoder of items that fails, or an attention that loses what its cache holds, would otherwise show
when the training is over.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from chiasm.batch.streams import StreamShape
from chiasm.errors import UserError, origin
from chiasm.inference.history import History, lay_out
from chiasm.inference.passage import Passage
from chiasm.model.decoder import Decoder
from chiasm.model.work import Work
from chiasm.tokenizers.streams import StreamTokenizers

TOLERANCE = 1e-2
"""Largest distance between a vector with a cache and without one, relative to its length: rounding
is a thousandth of it.
"""

CACHE = "let past.extend take what `cached` names of each position, and attend to what it returns"


@torch.no_grad()
def rehearse(decoder: Decoder, tokenizers: StreamTokenizers) -> None:
    """Runs the model with its cache, and the decoder of each stream's tokenizer.

    Raises:
        UserError: one fails, and where; or the model's output differs with its cache.
    """
    _try_attention(decoder)
    for shape in tokenizers.streams:
        if tokenizers[shape.name].decodes:
            _try_decoder(tokenizers, shape, decoder.device)


def _try_attention(decoder: Decoder) -> None:
    whole = Passage([0, 1, 2])
    with _told(decoder, "fails", "mend it; docs/model.md says what an attention has"):
        at_once = lay_out(decoder, [whole], {}, 1.0, [0], cache=None)
        expected_D = decoder(at_once.inputs, at_once.mask)[0, -1]
        nothing = dict.fromkeys(decoder.shapes.names, 0)
        decoder.forward_flops(Work(1, 1, nothing, 1, dict.fromkeys(decoder.shapes.generated, 0)))
    with _told(decoder, "fails where it has a cache", CACHE):
        history = History(decoder, num_members=1, capacity=len(whole))
        history.read([0], [Passage(whole.ids[:2])])
        [found_D] = history.read([0], [Passage(whole.ids[2:])])
    if (found_D - expected_D).norm() > TOLERANCE * expected_D.norm():
        raise _error(
            decoder, "gives other vectors with its cache than when all is read at once", CACHE
        )


@contextmanager
def _told(decoder: Decoder, what: str, remedy: str) -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        why = f"{what}: {type(error).__name__}: {error}{origin(error)}"
        raise _error(decoder, why, remedy) from error


def _error(decoder: Decoder, why: str, remedy: str) -> UserError:
    kind = type(decoder.blocks[0].attention).__name__
    named = decoder.settings.attention.kind
    return UserError(f"{kind} {why}", setting="model.attention.kind", value=named, remedy=remedy)


def _try_decoder(tokenizers: StreamTokenizers, shape: StreamShape, device: torch.device) -> None:
    own = tokenizers[shape.name]
    longest = shape.on((*(1 for _ in shape.grid[1:]), shape.num_tokens))
    mean_NPC = torch.zeros(1, shape.num_tokens, shape.channels, device=device)
    try:
        for item in (shape, longest) if shape.varies else (shape,):
            [span] = tokenizers.decode(item, mean_NPC)
            read_LC = own.encode_items([own.read(span.data)], device)
            if read_LC.shape != mean_NPC[0].shape:
                raise ValueError(
                    f"an item on the grid {item.grid} is read as {len(read_LC)} tokens"
                )
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        raise UserError(
            f"{type(own.decoder).__name__} gives no item that can be read again: "
            f"{type(error).__name__}: {error}{origin(error)}",
            setting=f"streams.{shape.name}",
            remedy="let decode() give items as read() does, and span() what read() takes",
        ) from error
