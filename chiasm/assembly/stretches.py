"""Sound of films: as long as a frame is shown, which is what an item has to hold."""

from __future__ import annotations

from collections.abc import Mapping

from chiasm.data.video_files import VideoSettings
from chiasm.errors import settings_of
from chiasm.recipe import Recipe
from chiasm.sound.settings import SOUND, shape_of_sounds
from chiasm.tokenizers.tokenizer import Tokenizer

_DIFFERENCE = 1e-3
"""Share of a stretch that an item may differ by: rates have few decimals."""


def refuse_other_stretches(recipe: Recipe, tokenizers: Mapping[str, Tokenizer]) -> None:
    """Refuses films whose frames are shown for another time than an item of sound lasts.

    Raises:
        UserError: with the setting that would fit.
    """
    for name, source in recipe.stream.sources.items():
        if isinstance(source, VideoSettings) and source.sound:
            with settings_of(f"stream.sources.{name}"):
                _refuse(source, tokenizers.get(SOUND))


def _refuse(source: VideoSettings, tokenizer: Tokenizer | None) -> None:
    if tokenizer is None:
        why, remedy = "asks for a stream of sounds", "add a table [streams.sound] (docs/sound.md)"
        raise source.error("sound", f"{why}, which the recipe lacks", remedy)
    shape = shape_of_sounds(tokenizer.encoder)
    if shape is None:
        return  # a tokenizer of the user's own says itself what it takes
    shown, lasts = 1 / source.frames_per_second, shape.num_samples / shape.rate
    if abs(shown - lasts) <= _DIFFERENCE * shown:
        return
    tokens = max(1, round(shown * shape.rate / shape.token_samples))
    whole = tokens * shape.token_samples / shape.rate
    remedy = f"set streams.sound.seconds = {whole:.6g}"
    if abs(shown - whole) > _DIFFERENCE * shown:
        remedy += f" and frames_per_second = {1 / whole:.6g}"
    raise source.error(
        "frames_per_second",
        f"shows a frame for {shown:.4g} seconds, and an item of sound lasts {lasts:.4g}",
        remedy,
    )
