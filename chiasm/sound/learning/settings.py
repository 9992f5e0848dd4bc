"""The recipe of ``chiasm sound train``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from chiasm.data.audio import AudioTextSettings
from chiasm.data.source import SOURCES, SourceSettings
from chiasm.loop.tracker import TrackerSettings
from chiasm.settings import Settings
from chiasm.sound.settings import MelShape, VocoderSettings
from chiasm.vision.learning.settings import FitSettings


class SoundFitSettings(Settings):
    """The optimization."""

    steps: int = Field(default=2000, ge=1)
    """Optimizer steps."""
    sounds_per_step: int = Field(default=16, ge=1)
    """Sounds in each step."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Peak learning rate of AdamW; a cosine takes it to a hundredth."""
    warmup_steps: int = Field(default=100, ge=0)
    """Steps before the first one at the peak."""
    weight_decay: float = Field(default=0.01, ge=0)
    """AdamW's decoupled decay, on matrices alone."""
    checkpoint_steps: int = Field(default=500, ge=1)
    """Steps between checkpoints."""

    @property
    def fit(self) -> FitSettings:
        """The same, as the loop of all tokenizers takes it."""
        return FitSettings(
            steps=self.steps,
            pictures_per_step=self.sounds_per_step,
            learning_rate=self.learning_rate,
            warmup_steps=self.warmup_steps,
            weight_decay=self.weight_decay,
            checkpoint_steps=self.checkpoint_steps,
        )


class SoundTrainingSettings(Settings):
    """A recipe of ``chiasm sound train``."""

    name: str = "vocoder"
    """What the tokenizer is called; runs that use it record the name."""
    seed: int = Field(default=0, ge=0)
    """Starts every random number of the training."""
    source: Annotated[SourceSettings, SOURCES] = AudioTextSettings()
    """The sounds: ``audio_text`` files; their words are not read."""
    mel: MelShape = MelShape()
    """Size of an item, and its log-mel spectrogram."""
    decoder: VocoderSettings = VocoderSettings()
    """Shape of the decoder."""
    noise: float = Field(default=0.1, ge=0)
    """Scale of the noise on standardized latents; each sound's deviation is |normal(0, noise)|, so
    that the decoder bears a generator's errors."""
    fit: SoundFitSettings = SoundFitSettings()
    """The optimization."""
    tracker: TrackerSettings = TrackerSettings()
