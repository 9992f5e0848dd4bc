"""Two tokenizers as one: one reads the pictures that are only seen, the other those to be drawn.

A semantic encoder understands better and a variational autoencoder draws better; BAGEL (arXiv
2505.14683) gives a model both. Here a picture is read once, by the tokenizer of the part that it
plays in its document: context pictures by ``context``, targets by ``target``, whatever their flow
time. So frames of a video stay latents of ``target`` when they are finished (t = 1), in training
and in sampling alike.
"""

from __future__ import annotations

from typing import Annotated, Literal

from chiasm.errors import settings_of
from chiasm.tokenizers.settings import TOKENIZERS, TokenizerSettings, open_tokenizer
from chiasm.tokenizers.tokenizer import Tokenizer


@TOKENIZERS.register
class DualSettings(TokenizerSettings):
    """One tokenizer of context pictures and one of targets."""

    kind: Literal["dual"] = "dual"
    context: Annotated[TokenizerSettings, TOKENIZERS]
    """The tokenizer of context pictures."""
    target: Annotated[TokenizerSettings, TOKENIZERS]
    """The tokenizer of target pictures."""

    def open(self) -> Tokenizer:
        """Returns both in one.

        Raises:
            UserError: one of them cannot be opened.
        """
        with settings_of("target"):
            target = open_tokenizer(self.target)
        with settings_of("context"):
            return paired(target, open_tokenizer(self.context))


def paired(target: Tokenizer, context: Tokenizer) -> Tokenizer:
    """The tokenizer of targets, with another one beside it for context pictures."""
    name = f"dual (context: {context.name}, target: {target.name})"
    return Tokenizer(name, target.encoder, target.decoder, target.statistics, context)
