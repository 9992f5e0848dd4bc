"""The kinds of tokenizers of sounds: settings in a recipe.

Naming them needs no torch; opening one imports its implementation.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from chiasm.sound.settings import ItemSettings, MelShape, SoundShape
from chiasm.tokenizers.settings import TOKENIZERS, TokenizerSettings

if TYPE_CHECKING:
    from chiasm.tokenizers.tokenizer import Tokenizer


@TOKENIZERS.register
class MdctSettings(TokenizerSettings, ItemSettings):
    """Frequencies of short stretches; nothing is learned, and nothing is lost."""

    kind: Literal["mdct"] = "mdct"
    token_samples: int | None = Field(default=None, ge=8, multiple_of=2)
    """Samples that one latent token stands for; a 50th of a second if unset."""

    @property
    def shape(self) -> SoundShape:
        """Size of items and tokens."""
        return self.shape_of(self.token_samples or 2 * (self.rate // 100))

    @model_validator(mode="after")
    def _tokens_fit(self) -> Self:
        assert self.shape
        return self

    def open(self) -> Tokenizer:
        """Returns the tokenizer; its statistics are a neutral guess."""
        from chiasm.sound.mdct import mdct_tokenizer

        return mdct_tokenizer(self.shape)


@TOKENIZERS.register
class MelSettings(TokenizerSettings, MelShape):
    """Log-mel spectrograms; nothing is learned, and phases are found again by iteration."""

    kind: Literal["mel"] = "mel"

    def open(self) -> Tokenizer:
        """Returns the tokenizer; its statistics are a neutral guess."""
        from chiasm.sound.mel import mel_tokenizer

        return mel_tokenizer(
            MelShape(**{name: getattr(self, name) for name in MelShape.model_fields})
        )


@TOKENIZERS.register
class VocoderTokenizerSettings(TokenizerSettings):
    """Log-mel spectrograms with a decoder that chiasm sound train made."""

    kind: Literal["vocoder"] = "vocoder"
    path: str = ""
    """The folder of chiasm sound train."""
    seconds: float | None = Field(default=None, gt=0)
    """Length of an item; that of the training if unset. It may be any whole number of latent
    tokens."""

    def open(self) -> Tokenizer:
        """Returns the tokenizer.

        Raises:
            UserError: there is none, it is damaged, or items are no whole number of its tokens.
        """
        if not self.path:
            raise self.error("path", "is missing", "name a folder of chiasm sound train")
        from chiasm.sound.learned import open_learned

        return open_learned(Path(self.path).expanduser(), self.seconds)
