"""Sizes of the routing atlas, and the cut-off between classes of experts."""

from __future__ import annotations

from pydantic import Field

from chiasm.settings import Settings


class AtlasSettings(Settings):
    """Sizes of the routing atlas; the defaults take a minute or two for a small model."""

    seed: int = Field(0, ge=0)
    """Keys noise, flow times, resamples and shuffles."""
    documents: int = Field(128, ge=2)
    """Held-out documents of each source."""
    cutoff: float = Field(0.5, gt=0, lt=1)
    """An expert is of text where S > cutoff, of vision where S < -cutoff, else multimodal. At 0.5
    a text expert serves a text position at least three times as often as a vision position. The
    cut-offs of arXiv 2603.03276 are not published."""
