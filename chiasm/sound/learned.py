"""Tokenizers that ``chiasm sound train`` made, opened for items of any length."""

from __future__ import annotations

from pathlib import Path

import chiasm.sound.parts  # noqa: F401  (what the folder may name)
from chiasm.errors import UserError
from chiasm.sound.mel import LogMel
from chiasm.sound.vocoder import Vocoder
from chiasm.tokenizers.storage import load_tokenizer
from chiasm.tokenizers.tokenizer import Tokenizer


def open_learned(folder: Path, seconds: float | None = None) -> Tokenizer:
    """Returns the tokenizer of a folder, for items of so many seconds; None: as it was trained.

    Raises:
        UserError: there is none, it is damaged, or it is none of sounds; or items are no whole
            number of latent tokens.
    """
    tokenizer = load_tokenizer(folder)
    encoder, decoder = tokenizer.encoder, tokenizer.decoder
    if not isinstance(encoder, LogMel) or not isinstance(decoder, Vocoder):
        raise UserError(
            "holds no tokenizer of sounds",
            setting="path",
            value=str(folder),
            remedy="name a folder of chiasm sound train",
        )
    if seconds is None:
        return tokenizer
    mel = encoder.settings.model_copy(update={"seconds": seconds})
    try:
        assert mel.shape
    except ValueError as error:
        raise UserError(f": {error}", setting="seconds", value=seconds) from error
    longer = Vocoder(mel, decoder.settings, decoder.statistics)
    longer.load_state_dict(decoder.state_dict())
    return Tokenizer(tokenizer.name, LogMel(mel), longer, tokenizer.statistics)
