"""The kinds of attention that a recipe names; building one imports what it is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from chiasm.model.settings import ATTENTIONS, AttentionSettings, ModelSettings

if TYPE_CHECKING:
    from chiasm.model.attention import GroupedAttention


@ATTENTIONS.register
class GroupedSettings(AttentionSettings):
    """Grouped-query attention (arXiv 2305.13245)."""

    kind: Literal["grouped"] = "grouped"

    def build(self, model: ModelSettings, modalities: int | None) -> GroupedAttention:
        """Returns the layer of one block."""
        from chiasm.model.attention import GroupedAttention

        return GroupedAttention(model, modalities)
