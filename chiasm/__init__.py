"""One decoder-only transformer, pretrained from scratch on text, images, video and actions.

    import chiasm

    model = chiasm.load("runs/quickstart")     # a run, a saved model, or a hub id

The names below are what a user of a trained model needs; everything else is imported from its
folder. Importing this package alone stays cheap: torch is first imported by :func:`load`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chiasm.documents import Continuous, Document, Image, Text

if TYPE_CHECKING:
    from chiasm.inference.pretrained import Pretrained

__all__ = ["Continuous", "Document", "Image", "Text", "__version__", "load"]

__version__ = "0.1.0"


def load(path_or_hub_id: str, device: str = "cpu") -> Pretrained:
    """Load a saved model; see :meth:`chiasm.inference.pretrained.Pretrained.load`."""
    from chiasm.inference.pretrained import Pretrained

    return Pretrained.load(path_or_hub_id, device)
