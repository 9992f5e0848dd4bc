"""Settings of a tokenizer's training, and the recipe of ``chiasm vision train``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

import chiasm.data.sources  # noqa: F401  (registers the kinds that read users' files)
from chiasm.data.source import SOURCES, SourceSettings
from chiasm.errors import settings_of
from chiasm.loop.tracker import TrackerSettings
from chiasm.providers import WorldTable
from chiasm.settings import Settings
from chiasm.tokenizers.settings import TOKENIZERS, TokenizerSettings
from chiasm.vision.kinds import ConvolutionalDecoderSettings
from chiasm.vision.settings import (
    DECODERS,
    AutoencoderSettings,
    DecoderSettings,
    EncoderSettings,
)

NOT_LEARNED: dict[str, Any] = {"tracker": True, "source": {"license"}}
"""Settings that a tokenizer does not depend on, for the hash of the others."""


class FitSettings(Settings):
    """One stage's optimization."""

    steps: int = Field(default=2000, ge=1)
    """Optimizer steps."""
    pictures_per_step: int = Field(default=256, ge=2)
    """Pictures in each step, which ranks divide evenly; the contrastive loss compares all of them
    with each other."""
    learning_rate: float = Field(default=2e-3, gt=0)
    """Peak learning rate of AdamW; a cosine takes it to a hundredth."""
    warmup_steps: int = Field(default=100, ge=0)
    """Steps before the first one at the peak."""
    weight_decay: float = Field(default=0.01, ge=0)
    """AdamW's decoupled decay, on matrices alone."""
    checkpoint_steps: int = Field(default=500, ge=1)
    """Steps between checkpoints."""


class ContrastiveSettings(Settings):
    """Stage 1 of a vision tokenizer."""

    fit: FitSettings = FitSettings(steps=3000)
    """Its optimization."""
    noise: float = Field(default=0.3, ge=0)
    """Scale of the noise on features, on which all terms are computed; each picture's deviation is
    |normal(0, noise)|. Less keeps more of the pixels, and is harder to predict."""
    pixels_weight: float = Field(default=10.0, ge=0)
    """Weight of the regression of pixels from features."""
    redundancy_weight: float = Field(default=0.3, ge=0)
    """Weight of the squared correlation between channels."""


class SelfSupervisedSettings(Settings):
    """Stage 1 of a vision tokenizer without captions."""

    fit: FitSettings = FitSettings(steps=3000)
    """Its optimization."""
    hidden_share: float = Field(default=0.2, gt=0, lt=1)
    """Share of the picture that each of the hidden rectangles covers."""
    momentum: float = Field(default=0.99, ge=0, lt=1)
    """Share of the teacher that a step keeps at first; it rises linearly to 1."""
    deviation_weight: float = Field(default=5.0, ge=0)
    """Weight of what features lack of a deviation of 1 between pictures."""


class AdversarialSettings(Settings):
    """The adversarial term of a decoder."""

    weight: float = Field(default=0.0, ge=0)
    """Length of its gradient at the last layer, relative to the reconstruction's; 0: no such term.
    RAE has 0.75."""
    start_step: int = Field(default=500, ge=0)
    """Steps of the decoder without it."""
    width: int = Field(default=32, ge=8, multiple_of=8)
    """Channels of the discriminator's first layer; the others have two and four times as many."""


class ReconstructionSettings(Settings):
    """How a decoder, or a variational autoencoder, learns to draw."""

    fit: FitSettings = FitSettings(steps=2000, pictures_per_step=128)
    """Its optimization."""
    noise: float = Field(default=0.3, gt=0)
    """rae: scale of the noise on latents; each picture's deviation is |normal(0, noise)|."""
    kl_weight: float = Field(default=1e-4, ge=0)
    """vae: weight of the KL divergence in nats per pixel value, beside the L1 loss."""
    feature_weight: float = Field(default=0.1, ge=0)
    """Weight of the frozen tokenizer's latent distance beside the L1 loss."""
    adversarial: AdversarialSettings = AdversarialSettings()
    """The discriminator's term."""
    sample_steps: int = Field(default=500, ge=1)
    """Steps between two grids of held-out pictures and what is drawn of them."""

    @model_validator(mode="after")
    def _adversary_begins(self) -> ReconstructionSettings:
        start = self.adversarial.start_step
        if self.adversarial.weight > 0 and start >= self.fit.steps:
            raise ValueError(
                f"adversarial.start_step = {start} leaves nothing of fit.steps = "
                f"{self.fit.steps}; start earlier, or set adversarial.weight = 0"
            )
        return self


class TokenizerTrainingSettings(Settings):
    """How a tokenizer is built and trained, whatever it is trained on."""

    name: str = "rae"
    """What the tokenizer is called; runs that use it record the name."""
    seed: int = 0
    """Starts every random number of the training."""
    kind: Literal["rae", "vae"] = "rae"
    """``rae``: a decoder of a frozen encoder's features. ``vae``: a variational autoencoder."""
    frozen: Annotated[TokenizerSettings, TOKENIZERS] | None = None
    """A tokenizer that stays as it is. ``rae``: no encoder is trained, but a decoder of this one's
    latents. ``vae``: pictures are compared in its latents too."""
    encoder: EncoderSettings = EncoderSettings()
    """rae: shape of the encoder."""
    objective: Literal["contrastive", "self_supervised"] = "contrastive"
    """rae: what the encoder learns from: captions, or pictures alone."""
    contrastive: ContrastiveSettings = ContrastiveSettings()
    """The encoder's training with captions."""
    self_supervised: SelfSupervisedSettings = SelfSupervisedSettings()
    """The encoder's training without."""
    decoder: Annotated[DecoderSettings, DECODERS] = ConvolutionalDecoderSettings()
    """rae: shape of the decoder."""
    vae: AutoencoderSettings = AutoencoderSettings()
    """vae: shape of the autoencoder."""
    reconstruction: ReconstructionSettings = ReconstructionSettings()
    """How the decoder, or the autoencoder, learns to draw."""
    tracker: TrackerSettings = TrackerSettings()

    @property
    def size_setting(self) -> str:
        """Name of the setting that gives the side of the images."""
        if self.kind == "vae":
            return "vae.image_pixels"
        return "encoder.image_pixels" if self.frozen is None else "frozen.image_pixels"

    @property
    def reads_captions(self) -> bool:
        """Whether images need captions."""
        return self.trains_encoder and self.objective == "contrastive"

    @property
    def trains_encoder(self) -> bool:
        """Whether an encoder is trained, before its decoder."""
        return self.kind == "rae" and self.frozen is None

    def refuse_uneven(self, num_ranks: int) -> None:
        """Refuses steps whose pictures ranks cannot share evenly.

        Raises:
            UserError: they cannot.
        """
        for table in (*([self.objective] if self.trains_encoder else []), "reconstruction"):
            fit: FitSettings = getattr(self, table).fit
            if fit.pictures_per_step % num_ranks:
                why = f"cannot be shared by {num_ranks} ranks"
                with settings_of(f"{table}.fit"):
                    raise fit.error("pictures_per_step", why, f"give a multiple of {num_ranks}")


class VisionTrainingSettings(TokenizerTrainingSettings, WorldTable):
    """A recipe of ``chiasm vision train``."""

    source: Annotated[SourceSettings, SOURCES] = Field(
        default_factory=lambda: SOURCES.of("world").model_validate({"task": "image_text"})
    )
    """The pictures: the embedded world with its ground truth, or ``image_text`` files; where the
    settings read no captions, a folder of pictures will do."""
