"""Settings of a stream's tokenizer: classes by kind, extensible by other modules."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from chiasm.registry import Registry
from chiasm.settings import Settings

if TYPE_CHECKING:
    from chiasm.tokenizers.tokenizer import Tokenizer


class TokenizerSettings(Settings):
    """The tokenizer of a stream; each kind adds settings of its own."""

    kind: str
    """Which class of :data:`TOKENIZERS` the settings are of."""
    statistics: str | None = None
    """A file of chiasm vision stats, instead of the tokenizer's own statistics."""
    latents: str | None = None
    """A folder of chiasm vision encode: training reads its latents and encodes nothing."""
    context_of: str = ""
    """The stream whose context items this stream reads instead: a semantic encoder to see beside a
    tokenizer that draws."""

    def open(self) -> Tokenizer:
        """Returns the tokenizer, frozen; a kind defines it.

        Raises:
            UserError: there is no such tokenizer, it is damaged, or settings do not go with it.
        """
        raise self.error("kind", f"has no open() in {type(self).__name__}", "define it")


TOKENIZERS = Registry[TokenizerSettings]("tokenizer", default="rae")


def open_tokenizer(settings: TokenizerSettings) -> Tokenizer:
    """Returns the tokenizer of the settings, with the statistics that they name.

    One without statistics of its own has a neutral guess, whose count is 0, until
    :meth:`Tokenizer.measure` has seen a run's items.

    Raises:
        UserError: as :meth:`TokenizerSettings.open`; it returned something else than a tokenizer;
            or the statistics are not of its latents.
    """
    from chiasm.tokenizers.statistics import read_statistics
    from chiasm.tokenizers.tokenizer import Tokenizer

    with settings.calling("open()"):
        tokenizer = settings.open()
    if not isinstance(tokenizer, Tokenizer):
        returned = f"returned a {type(tokenizer).__name__} from {type(settings).__name__}.open()"
        raise settings.error("kind", returned, "return a Tokenizer")
    if settings.statistics is not None:
        path = Path(settings.statistics).expanduser()
        tokenizer.adopt(read_statistics(path), settings.statistics)
    return tokenizer
