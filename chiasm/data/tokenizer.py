"""Text ⇄ token numbers: a byte-level BPE trained here, or any Hugging Face tokenizer.

Choices:

- bytes, so that every string can be encoded and decodes to itself;
- each digit is a token of its own, so that numbers (poses, counts) have place value;
- special tokens never result from a user's text: ``<|boi|>`` in a caption is ordinary characters.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from chiasm.errors import UserError
from chiasm.hub import gave_none, require_hub

SPECIAL_TOKENS = ("<|pad|>", "<|bod|>", "<|eod|>", "<|boi|>", "<|eoi|>", "<|image|>")
"""Padding; begin and end of a document; begin and end of an image; one latent token. Further
streams have three marks of their own."""

_MARKS = re.compile(r"<\|begin (.+)\|>$")
_FILE = "tokenizer.json"
_CACHED_CHARACTERS = 1024
_CACHED_TEXTS = 1 << 15


class Marks(NamedTuple):
    """Token numbers that represent an item of a stream."""

    begin: int
    """Token that opens an item; the model itself predicts it."""
    end: int
    fill: int
    """Token at the position of each latent."""


class TextTokenizer:
    """A Hugging Face tokenizer, to which chiasm's special tokens are added in place.

    Marks for the ``streams`` beside ``image`` are added too; existing ones are kept.
    """

    def __init__(self, backend: Tokenizer, streams: Sequence[str] = ()) -> None:
        backend.add_special_tokens(
            [*SPECIAL_TOKENS, *(token for name in streams for token in _marks(name))]
        )
        backend.encode_special_tokens = True  # specials typed by a user are plain text
        backend.no_truncation()
        backend.no_padding()
        self._backend = backend
        numbers = backend.get_vocab(with_added_tokens=True)
        self.pad_id, self.bod_id, self.eod_id, *image = (numbers[each] for each in SPECIAL_TOKENS)
        self.marks = {"image": Marks(*image)}
        """Marks by stream."""
        for found in filter(None, map(_MARKS.match, sorted(numbers, key=numbers.__getitem__))):
            self.marks[found[1]] = Marks(*(numbers[each] for each in _marks(found[1])))
        self.vocabulary_size = max(numbers.values()) + 1
        # Captions, questions and actions recur; long texts rarely do, and would fill the cache.
        self._cached_ids = lru_cache(_CACHED_TEXTS)(self._ids)

    @classmethod
    def train(
        cls, texts: Iterable[str], vocabulary_tokens: int, streams: Sequence[str] = ()
    ) -> TextTokenizer:
        """Returns a byte-level BPE trained on texts; few texts may give a smaller vocabulary.

        ``streams`` are as in the constructor.

        Raises:
            UserError: the vocabulary cannot hold all bytes and the special tokens.
        """
        marks = 3 * len(streams)
        smallest = 256 + len(SPECIAL_TOKENS) + marks
        if vocabulary_tokens < smallest:
            raise UserError(
                f"tokenizer.vocabulary_tokens = {vocabulary_tokens} cannot hold the 256 bytes and "
                f"{len(SPECIAL_TOKENS) + marks} special tokens; give {smallest} or more"
            )
        backend = Tokenizer(models.BPE())
        digits = pre_tokenizers.Digits(individual_digits=True)
        in_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.pre_tokenizer = pre_tokenizers.Sequence([digits, in_bytes])
        backend.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary_tokens - marks,
            special_tokens=list(SPECIAL_TOKENS),
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        backend.train_from_iterator(texts, trainer)
        return cls(backend, streams)

    @classmethod
    def load(cls, path_or_name: str | Path, streams: Sequence[str] = ()) -> TextTokenizer:
        """Returns a saved tokenizer: of a folder or a file on disk, or of a hub name.

        Raises:
            UserError: it does not exist or cannot be read, or the hub cannot be reached and there
                is no cached copy.
        """
        path = Path(path_or_name)
        file = path / _FILE if path.is_dir() else path
        if file.is_file() and file.suffix == ".json":
            try:
                return cls(Tokenizer.from_file(str(file)), streams)
            except Exception as error:  # the Rust library raises nothing narrower
                raise UserError(f"tokenizer file {file} cannot be read: {error}") from error
        return cls(_hub_backend(str(path_or_name)), streams)

    def with_streams(self, streams: Sequence[str]) -> TextTokenizer:
        """Returns the same tokenizer with marks for further streams behind its own tokens."""
        return TextTokenizer(Tokenizer.from_str(self._backend.to_str()), streams)

    def save(self, folder: Path) -> None:
        """Writes ``tokenizer.json`` into the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        self._backend.save(str(folder / _FILE))

    def encode(self, text: str) -> list[int]:
        """Returns the token numbers of a text, without special ones."""
        return self.encode_array(text).tolist()

    def encode_array(self, text: str) -> np.ndarray:
        """Returns the same as a read-only int64 array; short texts are cached."""
        return self._cached_ids(text) if len(text) <= _CACHED_CHARACTERS else self._ids(text)

    def decode(self, ids: Sequence[int]) -> str:
        """Returns the text of token numbers, without special tokens."""
        return self._backend.decode(list(ids), skip_special_tokens=True)

    def restores(self, text: str) -> bool:
        """Returns whether the text survives encoding and decoding unchanged.

        Unknown tokens, lower-casing and lost spaces change it.
        """
        return self.decode(self.encode(text)) == text

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits, a hash of everything that determines the token numbers."""
        return hashlib.sha256(self._backend.to_str().encode()).hexdigest()[:16]

    def _ids(self, text: str) -> np.ndarray:
        ids = np.array(self._backend.encode(text, add_special_tokens=False).ids, dtype=np.int64)
        ids.setflags(write=False)
        return ids


def _marks(stream: str) -> tuple[str, str, str]:
    return f"<|begin {stream}|>", f"<|end {stream}|>", f"<|latent {stream}|>"


def _hub_backend(name: str) -> Tokenizer:
    from transformers import AutoTokenizer  # seconds to import, and most runs never need it

    try:
        found = AutoTokenizer.from_pretrained(name, local_files_only=True)
    except (OSError, ValueError):  # neither a folder nor fetched before
        require_hub(name, "tokenizer.path")
        try:
            found = AutoTokenizer.from_pretrained(name)
        except Exception as error:
            raise gave_none("tokenizer", name, error, "tokenizer.path") from error
    backend = getattr(found, "backend_tokenizer", None)
    if backend is None:
        raise UserError(f"tokenizer.path = {name!r} has no fast (Rust) form; convert it first")
    return backend
