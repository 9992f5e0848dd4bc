"""Shape of the documents with actions that a model was trained on."""

from __future__ import annotations

from pydantic import Field

from chiasm.settings import Settings


class WalkDocuments(Settings):
    """Shape of a model's training documents with actions; rollouts keep to it."""

    views: int = Field(0, ge=0)
    """Of the longest one with numeric actions, or (without these) instructions; 0: no actions."""
    horizon_frames: tuple[int, int] = (1, 1)
    """Nearest and farthest next view."""
    poses: bool = True
    """Whether numeric actions may be poses or keys; False: they are recorded controls alone."""
    inverse: bool = False
    """Whether some documents show two views and then the action between them."""
    instruction_views: int | None = Field(None, ge=2)
    """Of one with an instruction; None: the whole way."""
