"""Pictures against the truth, and the tokenizer through which probes read them."""

from __future__ import annotations

import numpy as np

from chiasm.errors import UserError
from chiasm.evaluation.settings import EvaluationSettings
from chiasm.vision.build import VisionSettings, build_vision_tokenizer, settings_called
from chiasm.vision.tokenizer import VisionTokenizer


def open_judge(settings: EvaluationSettings) -> VisionTokenizer | None:
    """The tokenizer through whose latents probes read; None for the model's own.

    Raises:
        UserError: there is no such tokenizer, it is damaged, or has no statistics.
    """
    if settings.judge == "own":
        return None
    called = {"path": "evaluation.judge"}
    with settings_called(lambda name: called.get(name, f"vision.{name}")):
        judge = build_vision_tokenizer(VisionSettings(kind="rae", path=settings.judge))
    if judge.statistics.count == 0:
        raise UserError(
            f"evaluation.judge = {settings.judge!r} has no latent statistics of its own; name the "
            "shipped embedded-world, or a folder of chiasm vision train"
        )
    return judge


def psnr(pictures_NHW3: np.ndarray, truth_NHW3: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio of each uint8 picture in dB; equal pictures count 100."""
    error_NHW3 = (pictures_NHW3.astype(np.float64) - truth_NHW3.astype(np.float64)) / 255
    return -10 * np.log10(np.maximum((error_NHW3**2).mean((1, 2, 3)), 1e-10))
