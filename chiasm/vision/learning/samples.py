"""Pictures side by side in a PNG file: the truth above what was drawn of it.

Shape suffixes: N pictures, H and W their height and width in pixels.
"""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from chiasm.errors import UserError


def save_samples(path: Path, true_N3HW: Tensor, drawn_N3HW: Tensor) -> None:
    """Write a grid of two rows and N columns; values in [0, 1], others are clamped.

    Raises:
        UserError: the disk is full or refuses.
    """
    rows = torch.stack((true_N3HW, drawn_N3HW)).clamp(0, 1).mul(255).round().byte().cpu()
    grid_HW3 = rows.permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(grid_HW3.numpy()).save(path)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written: {error.strerror}. Earlier checkpoints are intact; make "
            "room and run the same command again to go on"
        ) from error
