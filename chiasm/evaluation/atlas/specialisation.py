"""Specialisation: experts that serve text, vision, or both.

With C_m^(i) the number of assignments of expert i by the N_m positions of modality m, each of which
chose k experts (arXiv 2603.03276, section 6.2),

    R_m^(i) = C_m^(i) / (N_m · k),        S_i = (R_text - R_vision) / (R_text + R_vision).

R is a share of the modality's assignments and sums to 1 over experts; S is 1 for an expert that
text alone uses, -1 for vision alone, 0 where a position of either is as likely to use it.

Shape suffixes: D documents, Q blocks with a router, R routed experts, S resamples; 3 = text,
multimodal, vision.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chiasm.evaluation.atlas.observation import CONTEXT, TARGET, TEXT, Observation
from chiasm.intervals import Interval, Resamples

CLASSES = ("text", "multimodal", "vision")

OTHER_CUTOFFS = (0.2, 1 / 3, 0.5, 2 / 3, 0.8)
"""Further cut-offs for the counts of classes, to show how much depends on the choice: an expert of
a modality serves it 1.5, 2, 3, 5 and 9 times as often.
"""


@dataclass(frozen=True)
class Specialisation:
    """Rates, S and classes of every routed expert."""

    text_QR: np.ndarray
    """R_text of each expert."""
    vision_QR: np.ndarray
    """R_vision of each expert, over context and target images."""
    value_QR: np.ndarray
    """S of each expert; nan for an unused one."""
    count_Q3: np.ndarray
    """Number of experts of each class."""
    share_Q3: Interval
    """Share of each class among the routed experts; unused ones are the rest, in every resample."""
    left_out: int
    """Number of resamples without text or images, for which S is undefined: no interval
    uses them.
    """
    count_by_cutoff: dict[float, np.ndarray]
    """Cut-off → number of experts of each class [Q, 3]."""

    @property
    def unused_Q(self) -> np.ndarray:
        """Number of unused experts of each block."""
        return np.isnan(self.value_QR).sum(axis=1)

    def of_vision(self, cutoff: float) -> np.ndarray:
        """Returns a mask of the vision experts: bool [Q, R]."""
        return self.value_QR < -cutoff


def rates(count: np.ndarray, positions: np.ndarray | float, choices: int) -> np.ndarray:
    """Returns R [..., Q, R] of assignments [..., Q, R] over ``positions`` [...]; nan for none."""
    total = np.asarray(positions, np.float64)[..., None, None] * choices
    return np.divide(count, total, out=np.full(count.shape, np.nan), where=total > 0)


def specialisation(text: np.ndarray, vision: np.ndarray) -> np.ndarray:
    """Returns S of two rates of equal shape; nan where both are 0."""
    total = text + vision
    return np.divide(text - vision, total, out=np.full(total.shape, np.nan), where=total > 0)


def classes(value_QR: np.ndarray, cutoff: float) -> np.ndarray:
    """Returns the number of experts of each class [..., Q, 3] from S [..., Q, R]."""
    text, vision = value_QR > cutoff, value_QR < -cutoff
    between = ~np.isnan(value_QR) & ~text & ~vision
    return np.stack([text.sum(-1), between.sum(-1), vision.sum(-1)], axis=-1)


def measure_specialisation(
    observed: Observation, cutoff: float, resamples: Resamples
) -> Specialisation | None:
    """Returns S and classes with intervals; None if text or vision was not seen."""
    num_text, num_vision = observed.positions(TEXT), observed.positions(CONTEXT, TARGET)
    if not num_text.any() or not num_vision.any():
        return None
    text, vision = observed.counts(TEXT), observed.counts(CONTEXT, TARGET)
    text_QR = rates(text.sum(axis=0), num_text.sum(), observed.choices)
    vision_QR = rates(vision.sum(axis=0), num_vision.sum(), observed.choices)
    value_QR = specialisation(text_QR, vision_QR)
    num_experts = value_QR.shape[1]
    count_Q3 = classes(value_QR, cutoff)
    text_S, vision_S = resamples.sums(num_text), resamples.sums(num_vision)
    both_S = (text_S > 0) & (vision_S > 0)
    again_SQR = specialisation(
        rates(resamples.sums(text)[both_S], text_S[both_S], observed.choices),
        rates(resamples.sums(vision)[both_S], vision_S[both_S], observed.choices),
    )
    return Specialisation(
        text_QR,
        vision_QR,
        value_QR,
        count_Q3,
        Interval.of(count_Q3 / num_experts, classes(again_SQR, cutoff) / num_experts),
        int((~both_S).sum()),
        {other: classes(value_QR, other) for other in OTHER_CUTOFFS},
    )
