"""Latents that are kept when an item is first met, and read from then on, by whichever run.

An item is encoded alone, by a fixed number of threads: its latents are a function of it and of its
encoder, whatever else a batch holds and whatever was kept before. A run that finds everything kept
has the numbers of one that finds nothing, or that keeps nothing.

Kept latents count as an encoder's by its weights, its preprocessing and what computes. What that
leaves out, such as its code, is found where some of them are compared with new ones.

Shape suffixes: P latent tokens of one item, C latent channels.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import torch
from torch import Tensor

from chiasm.batch.items import CacheError
from chiasm.data.keys import picture_key
from chiasm.device import processor
from chiasm.documents import Continuous, Image
from chiasm.errors import UserError
from chiasm.rgb import RULE
from chiasm.threads import threads_set
from chiasm.tokenizers.tokenizer import Tokenizer
from chiasm.vision.cached.store import Store

LARGE_PARAMETERS = 10_000_000
"""Encoders from here on have all threads; the operations of smaller ones are too short for two."""

FIRST_COMPARED, COMPARED_EVERY = 16, 256
"""Of the latents that a run finds: the first ones and some later ones are encoded again."""


class KeptLatents:
    """Those of a stream's items; :meth:`read` is for any thread.

    Args:
        place: names the stream in messages.
        tokenizer: on the CPU.
        folder: where latents of all encoders are kept.
        most_bytes: of the folder; 0: nothing is kept, and the latents are the same.
        tell: receives a line where what is kept cannot be used, or no more is kept.
    """

    def __init__(
        self,
        place: str,
        tokenizer: Tokenizer,
        folder: Path,
        most_bytes: int,
        tell: Callable[[str], None],
    ) -> None:
        self._place, self._tokenizer = place, tokenizer
        self._tell: Callable[[str], None] = lambda line: tell(f"{place}: {line}")
        encoder, self._shape = tokenizer.encoder, (math.prod(tokenizer.grid), tokenizer.channels)
        large = sum(each.numel() for each in encoder.parameters()) >= LARGE_PARAMETERS
        self._threads = torch.get_num_threads() if large else 1
        origin = f"{tokenizer.statistics.encoder} {encoder.preprocessing} {encoder.form} "
        origin += f"{self._shape} {RULE} {torch.__version__} {processor()} {self._threads}"
        path = folder / f"{hashlib.sha256(origin.encode()).hexdigest()[:16]}.latents"
        self._found, self._lock = 0, Lock()
        self._store: Store | None = None
        with self._disk():
            if most_bytes:
                self._store = Store(path, 4 * math.prod(self._shape), most_bytes, self._tell)

    def read(self, span: Continuous) -> Tensor:
        """Returns the latents of a span's item before they are standardized, float32 [P, C].

        Raises:
            CacheError: the encoder fails.
            UserError: the item is broken.
        """
        item = None if isinstance(span, Image) else self._tokenizer.read(span.data)
        # A picture is known by what it is decoded from.
        known = span if item is None else Continuous(item.numpy(), span.target, span.stream)
        key, kept = picture_key(known), None
        with self._disk() as store:
            kept = store and store.get(key)
            self._found += kept is not None
        if kept and self._found > FIRST_COMPARED and self._found % COMPARED_EVERY:
            return torch.frombuffer(kept, dtype=torch.float32).view(self._shape)
        made_PC = self._encode(self._tokenizer.read(span.data) if item is None else item)
        made = made_PC.numpy().tobytes()
        with self._disk() as store:
            if store and kept is None:
                store.put(key, made)
            elif store and kept != made:
                store.path.unlink(missing_ok=True)
                self._store = None
                self._tell(
                    "kept latents are not those that the encoder makes: its code has changed, or "
                    "it makes others each time; they are deleted, and this run keeps none"
                )
        return made_PC

    def _encode(self, item: Tensor) -> Tensor:
        with threads_set(self._threads):
            try:
                return self._tokenizer.encode_alone(item)
            except UserError as error:  # the encoder's, where broken items are skipped
                raise CacheError(str(error)).at(self._place) from error

    @contextmanager
    def _disk(self) -> Iterator[Store | None]:
        """One thread at a time; where the disk fails, nothing is kept from then on."""
        with self._lock:
            try:
                yield self._store
            except OSError as error:
                self._store = None
                self._tell(f"latents cannot be kept, but are made whenever they are met: {error}")


def keep_latents(
    tokenizers: Mapping[str, Tokenizer],
    device: torch.device,
    folder: Path,
    most_bytes: int,
    tell: Callable[[str], None],
) -> dict[str, KeptLatents]:
    """Returns those of the streams whose encoders have weights; without, encoding takes no time.

    None on other devices than a CPU, where many items are encoded as fast as one, and none of items
    that vary in size; they are told.
    """
    worth = {name: own for name, own in tokenizers.items() if [*own.encoder.parameters()]}
    for name in [name for name, own in worth.items() if own.varies]:
        del worth[name]
        tell(
            f'streams.{name}: its pictures are encoded in every step: with shape = "native" no '
            "latents are kept"
        )
    if device.type == "cpu":
        given = folder, most_bytes, tell
        return {name: KeptLatents(f"streams.{name}", own, *given) for name, own in worth.items()}
    for name in worth:
        tell(
            f"streams.{name}: its items are encoded in every step: latents keep themselves on a "
            "CPU alone; chiasm vision encode makes those of pictures ahead"
        )
    return {}
