"""Rules of agreement between a measurement and a published number; verdicts follow from them."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from chiasm.intervals import Interval


class Agreement(StrEnum):
    """Verdict on a published number."""

    AGREES = "agrees"
    DISAGREES = "disagrees"
    UNDECIDED = "undecided"
    NOT_MEASURED = "not measured yet"


RULES = {
    "a difference": (
        "The same two conditions are trained here with the same seeds. When the 95 % interval of "
        "the paired difference (Student's t over seeds) leaves out zero, its sign agrees or "
        "disagrees with that of the published difference; when it holds zero, or there is one "
        "seed, it is undecided. A published difference smaller than what it could be read to has "
        "no sign, and is undecided whatever is measured. Sizes of differences are not compared: "
        "models, data and metrics are others."
    ),
    "a number of a scaling law": (
        "It agrees when the published value lies inside of the measured 95 % interval and "
        "disagrees when it lies outside. It is undecided when the interval also holds a value "
        "that the claim excludes (for text's exponent that of vision, for a gap 0, for growth 1), "
        "or when the methods of fitting do not all say the same. The paper has C = 6·N·D, so that "
        "FLOPs per token grow as N^1; where they grow as N^γ with γ off 1 by more than 0.05, the "
        "exponents are not of the same N, and it is undecided whatever is measured. Fits are "
        "therefore kept with N = C / (6·D), which is the paper's N for every model."
    ),
    "a finding": (
        "It disagrees when any of its numbers does, and agrees when all of them do and all are "
        "measured; it is undecided otherwise, and not measured yet when none is. A number that "
        "follows from another one (b = 1 - a) is shown and not counted again. Refits of the "
        "points that the paper plots carry their own verdict and are not counted here: they check "
        "the paper's arithmetic, not its claim."
    ),
}
"""Text of the rule by the kind of what is judged."""


GAMMA_WITHIN = 0.05
"""Largest distance from 1 of the power of N in FLOPs per token at which exponents compare."""


Decision = tuple[Agreement, str]
"""Verdict, and the reason if it is undecided."""


def by_sign(measured: Interval[float], published: float, reading_error: float = 0.0) -> Decision:
    """Returns the verdict by the signs of a measured and a published difference.

    Args:
        measured: measured difference.
        published: published difference.
        reading_error: largest error of reading the published difference.
    """
    if not measured.is_known:
        return Agreement.UNDECIDED, "one seed gives no interval"
    if abs(published) <= reading_error:
        doubt = "the published difference is no larger than what it could be read to"
        return Agreement.UNDECIDED, doubt
    if measured.holds(0.0):
        return Agreement.UNDECIDED, "the interval holds zero"
    same = (measured.value > 0) == (published > 0)
    return Agreement.AGREES if same else Agreement.DISAGREES, ""


def by_value(measured: Interval[float], published: float, rival: float | None = None) -> Decision:
    """Returns the verdict by whether an interval holds the published value.

    If it also holds ``rival``, a value that the claim excludes, it is undecided.
    """
    if not measured.is_known:
        return Agreement.UNDECIDED, "there is no interval"
    if not measured.holds(published):
        return Agreement.DISAGREES, ""
    if rival is not None and measured.holds(rival):
        doubt = f"the interval also holds {rival:g}, which the claim excludes"
        return Agreement.UNDECIDED, doubt
    return Agreement.AGREES, ""


def comparable(gamma: float) -> bool:
    """Returns whether exponents of a fit compare to those for C = 6·N·D."""
    return abs(gamma - 1) <= GAMMA_WITHIN


def unanimous(verdicts: Iterable[Agreement]) -> Agreement:
    """Returns the common verdict; undecided if they differ, not measured if there is none."""
    found = set(verdicts)
    if len(found) > 1:
        return Agreement.UNDECIDED
    return found.pop() if found else Agreement.NOT_MEASURED


def overall(verdicts: Iterable[Agreement]) -> Agreement:
    """Returns a finding's verdict from those of its numbers."""
    found = set(verdicts)
    if Agreement.DISAGREES in found:
        return Agreement.DISAGREES
    return found.pop() if len(found) == 1 else Agreement.UNDECIDED
