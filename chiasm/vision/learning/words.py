"""Captions as word ids, and the small text tower that embeds them.

Shape suffixes: B captions, T words of a caption, V words of the vocabulary, D width.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

NO_WORD = 0
"""Padding of a caption."""
RARE_WORD = 1
"""Id of any word outside the vocabulary."""
FIRST_WORD = 2
VOCABULARY_WORDS = 1024
"""The most frequent words of the captions, which the text tower knows; others are rare to it."""
CAPTION_WORDS = 48
"""Of a caption, which the text tower reads: a few sentences."""


class Vocabulary:
    """The most frequent words of the captions, numbered from 2; 0 is no word, 1 a rare one."""

    def __init__(self, captions: Iterable[str], max_words: int = VOCABULARY_WORDS) -> None:
        """Collects words of more than one caption, most frequent first, then alphabetically."""
        counts = Counter(word for caption in captions for word in set(split_words(caption)))
        ranked = sorted(counts, key=lambda word: (-counts[word], word))
        self.words = tuple(word for word in ranked if counts[word] > 1)[:max_words]
        self._numbers = {word: number for number, word in enumerate(self.words, start=FIRST_WORD)}

    def __len__(self) -> int:
        return len(self.words) + FIRST_WORD

    def encode(self, caption: str, max_words: int = CAPTION_WORDS) -> np.ndarray:
        """Returns the caption's first words, padded: int32 [T = max_words]."""
        numbers = np.full(max_words, NO_WORD, dtype=np.int32)
        words = split_words(caption)[:max_words]
        numbers[: len(words)] = [self._numbers.get(word, RARE_WORD) for word in words]
        return numbers

    def present(self, words_BT: Tensor) -> Tensor:
        """Returns float32 [B, V - 2]: 1 where a caption has the word."""
        present_BV = torch.zeros(len(words_BT), len(self), device=words_BT.device)
        present_BV.scatter_(1, words_BT.long(), 1.0)
        return present_BV[:, FIRST_WORD:]


def split_words(caption: str) -> list[str]:
    """Returns lower-case words and numbers, without punctuation."""
    return re.findall(r"\w+", caption.lower())


class TextTower(nn.Module):
    """Embeds a caption: word embeddings, two convolutions over words, their mean."""

    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width, padding_idx=NO_WORD)
        self.convolutions = nn.ModuleList(nn.Conv1d(width, width, 3, padding=1) for _ in range(2))
        self.to_embedding = nn.Linear(width, width)

    def forward(self, words_BT: Tensor) -> Tensor:
        """Returns embeddings [B, D] of word ids."""
        there_B1T = (words_BT != NO_WORD).unsqueeze(1).float()
        x_BDT = self.embed(words_BT).mT
        for convolution in self.convolutions:
            x_BDT = x_BDT + nn.functional.gelu(convolution(x_BDT * there_B1T))
        total_BD = (x_BDT * there_B1T).sum(dim=2)
        return self.to_embedding(total_BD / there_B1T.sum(dim=2).clamp(min=1))
