"""What a decoder is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from chiasm.errors import SettingsError, setting
from chiasm.registry import Registry
from chiasm.settings import Settings

if TYPE_CHECKING:
    from torch import nn

ActivationCheckpointing = Literal["auto", "none", "selective", "full"]

LEAST_MODALITIES = 2
"""Text and one other: with how many settings alone are checked; a decoder knows how many it has."""


class MoeSettings(Settings):
    """A learned mixture: which experts there are, and how a position chooses among them."""

    num_experts: int = Field(16, ge=1)
    """E: experts of each block, shared ones included."""
    granularity: int = Field(4, ge=1)
    """G: feedforward_width / hidden width of one expert. It is 4·d_model / d_expert where
    feedforward_width is 4·d_model, as in arXiv 2603.03276."""
    top_k: int | None = Field(None, ge=1)
    """Routed experts of each position; None: as many as keep the active width at
    feedforward_width, which is G, or G - 1 beside a shared expert."""
    shared_experts: Literal["none", "global", "modality"] = "none"
    """Experts that need no choice: one that all positions use, or one that each modality has."""
    score: Literal["softmax", "sigmoid"] = "softmax"
    """What makes scores of the router's logits: over all experts together, or each by itself."""
    weights: Literal["normalized", "raw"] = "normalized"
    """Weights of the chosen experts: their scores over the sum of their scores, or the scores."""
    dense_blocks: int = Field(0, ge=0)
    """The first blocks that have one expert of the whole feedforward_width instead."""

    @model_validator(mode="after")
    def _choices_fit(self) -> Self:
        if self.routed_choices < 1:
            raise self.error(
                "shared_experts",
                f"takes the whole budget of {self.assigned('granularity')}",
                f"raise {setting('granularity')} to 2 or more, or set {setting('top_k')}",
            )
        self.refuse_choices(LEAST_MODALITIES)
        return self

    def refuse_choices(self, num_modalities: int) -> None:
        """Refuses more choices than experts beside the shared ones, and one without a weight.

        Raises:
            SettingsError: there are too few experts, or the router could not learn.
        """
        chosen, routed = self.routed_choices, self.num_routed(num_modalities)
        name = "granularity" if self.top_k is None else "top_k"
        with_shared = self.shared_experts != "none" and self.top_k is None
        beside = f"beside {self.assigned('shared_experts')} " * with_shared
        asks = f"{beside}asks for {chosen} routed experts of each position"
        if chosen > routed:
            raise self.error(
                name,
                f"{asks}, but {self.assigned('num_experts')} with "
                f"{self.assigned('shared_experts')} leaves {max(routed, 0)} to choose from",
                f"raise {setting('num_experts')} or lower {setting(name)}",
            )
        if chosen == 1 and self.weights == "normalized" and routed > 1:
            raise self.error(
                name,
                f"{asks}: a single one with {self.assigned('weights')} always weighs 1, so that "
                "the router cannot learn",
                f"raise it to 2 routed experts or more, or set {setting('weights')} = 'raw'",
            )

    def num_routed(self, num_modalities: int) -> int:
        """R: experts that are chosen among; the others need no choice."""
        return (
            self.num_experts
            - {"none": 0, "global": 1, "modality": num_modalities}[self.shared_experts]
        )

    @property
    def routed_choices(self) -> int:
        """Routed experts of each position."""
        return (
            self.granularity - (self.shared_experts != "none") if self.top_k is None else self.top_k
        )

    @property
    def choices(self) -> int:
        """Experts of each position, the shared one included."""
        return self.routed_choices + (self.shared_experts != "none")


class AttentionSettings(Settings):
    """One kind of attention, which builds the layer of a block."""

    kind: str

    def build(self, model: ModelSettings, modalities: int | None) -> nn.Module:
        """Returns a :class:`chiasm.model.attention.Attention`.

        ``modalities``: how many have projections of their own; None: all share them.
        """
        raise self.error("kind", f"has no build() in {type(self).__name__}", "define it")


ATTENTIONS = Registry[AttentionSettings]("attention", default="grouped")


class InnerSettings(Settings):
    """A head in the middle of the decoder, with a target of its own (``objective.inner``)."""

    block: int = Field(ge=1)
    """How many blocks lie before it."""
    target: Literal["latents", "average"] = "latents"
    """What it predicts of an item: latents, as the last head does, which in the space x are the
    features of the tokenizer's own encoder (arXiv 2410.06940), and then it can guide; or average:
    the states of the run's moving average, which reads the item with half the noise."""


class ModelSettings(Settings):
    """The shape of a decoder; its vocabulary comes from the tokenizers."""

    width: int = Field(192, gt=0)
    """Width D of the residual stream."""
    depth: int = Field(5, gt=0)
    """Number of blocks."""
    query_heads: int = Field(6, gt=0)
    """Query heads H of each attention layer."""
    key_value_heads: int = Field(3, gt=0)
    """Key-value heads G; each serves H / G query heads."""
    head_width: int | None = Field(None, gt=0)
    """Width K of one head; None: width / query_heads."""
    feedforward_width: int | None = Field(None, gt=0)
    """Hidden width F that each position passes through; None: 8/3 of the width, rounded up to a
    multiple of 32."""
    experts: Literal["dense", "modality", "moe"] = "modality"
    """Who transforms a position: one expert for all, one expert per modality, or several that a
    router chooses from a pool that all modalities share."""
    moe: MoeSettings = MoeSettings()
    """For ``experts = "moe"``."""
    attention_weights: Literal["shared", "modality"] = "shared"
    """Norms and attention projections: for all positions alike, or of each modality; the latter
    with experts = "modality" is a Mixture-of-Transformers (arXiv 2411.04996)."""
    attention: Annotated[AttentionSettings, ATTENTIONS] = Field(
        default_factory=lambda: ATTENTIONS.of(ATTENTIONS.default)()  # type: ignore[call-arg]
    )
    """Which kind of attention, and what that kind alone reads."""
    qk_norm: bool = True
    """Normalize queries and keys, each head by itself, before the rotation."""
    time_conditioning: Literal["added", "adaptive"] = "added"
    """How flow time enters: added to latent tokens once, or as scale, shift and gate in every
    block."""
    shortcut_steps: int | None = Field(None, ge=2)
    """Tell the network how long a step of the solver is, and train it for fewer steps than these as
    well (shortcuts, arXiv 2410.12557): for 1, 2, 4 and so on, where a step is to lead where two of
    half the size would. A power of two; None: it is told nothing."""
    item_positions: Literal["learned", "sinusoidal"] = "learned"
    """The position embedding inside an item, such as a picture, axis by axis."""
    rope_theta: float = Field(10_000.0, gt=1.0)
    """Base of the rotary frequencies."""
    inner: InnerSettings | None = None
    """A head in the middle; None: there is none."""

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if self.query_heads % self.key_value_heads:
            raise self.error(
                "query_heads",
                f"is not a multiple of {self.assigned('key_value_heads')}, and each key-value "
                "head serves as many queries",
                f"choose a divisor of {setting('query_heads')}",
            )
        if self.head_width is None and self.width % self.query_heads:
            raise self.error(
                "width",
                f"does not divide into {self.assigned('query_heads')}",
                f"change one of them or set {setting('head_width')}",
            )
        if self.K % 2:
            raise SettingsError(
                f"(unless set: {setting('width')} / {setting('query_heads')}) is odd, and rotary "
                "positions turn pairs of numbers",
                setting="head_width",
                value=self.K,
                remedy="make it even",
            )
        if self.inner is not None and self.inner.block >= self.depth:
            raise self.error(
                "inner.block",
                f"leaves no block of {self.assigned('depth')} behind the head in the middle",
                "lower it",
            )
        if (steps := self.shortcut_steps or 2) & (steps - 1):
            raise self.error(
                "shortcut_steps", "is no power of two", f"set it to {1 << (steps.bit_length() - 1)}"
            )
        if self.experts == "moe":
            self._refuse_mixture()
        elif self.moe != MoeSettings():
            raise self.error(
                "moe",
                f"has settings, but {self.assigned('experts')} has no router that reads them",
                f"set {setting('experts')} = 'moe', or leave {setting('moe')} out",
            )
        return self

    def _refuse_mixture(self) -> None:
        unit = 8 * self.moe.granularity
        if self.F % unit:
            default = "" if self.feedforward_width else f"(8/3 of {self.assigned('width')}) "
            raise SettingsError(
                f"{default}does not divide into {self.assigned('moe.granularity')} experts whose "
                "hidden width is a multiple of 8",
                setting="feedforward_width",
                value=self.F,
                remedy=f"set it to a multiple of {unit}, or lower {setting('moe.granularity')}",
            )
        if self.moe.dense_blocks >= self.depth:
            raise self.error(
                "moe.dense_blocks",
                f"leaves none of {self.assigned('depth')} blocks a router",
                f"lower it, or set {setting('experts')} = 'dense'",
            )

    @property
    def K(self) -> int:
        """Width of one head."""
        return self.head_width or self.width // self.query_heads

    @property
    def F(self) -> int:
        """Hidden width that each position passes through."""
        return self.feedforward_width or -(-8 * self.width // (3 * 32)) * 32
