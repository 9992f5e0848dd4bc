"""Formatting of numbers: one formatter for every page, table and terminal."""

from __future__ import annotations

import math

from chiasm.report.doc import Mark, Words

_FORMS = {"share": ".1f", "dB": ".2f"}
"""Unit → format; others have three decimals."""


_NO_ERROR = 1e-12
"""A smaller standard error is rounding of 0."""


def number(value: float, unit: str = "", form: str = "", *, signed: bool = False) -> str:
    """Returns a value as text; shares as per cent.

    Args:
        value: nan is unknown.
        unit: chooses the digits.
        form: chooses them instead, as ``.3g`` does.
        signed: whether it has a plus sign above 0.
    """
    if math.isnan(value):
        return "unknown"
    sign = "+" if signed and value > 0 else ""
    if unit == "share":
        return f"{sign}{_digits(value, unit, form)} %"
    return f"{sign}{_digits(value, unit, form)}"


def estimate(
    value: float,
    standard_error: float = math.nan,
    interval: tuple[float, float] = (math.nan, math.nan),
    unit: str = "",
    form: str = "",
    *,
    signed: bool = False,
) -> Words:
    """Returns a value with its standard error and, in brackets, its interval, where known.

    Where nothing varies there is no error to estimate: neither is told.
    """
    told = number(value, unit, form, signed=signed)
    if standard_error < _NO_ERROR:
        return told
    if not math.isnan(standard_error):
        bare, mark, rest = told.partition(" %")
        told = f"{bare} ± {_digits(standard_error, unit, form)}{mark}{rest}"
    if math.isnan(interval[0]):
        return told
    low, high = (number(each, unit, form, signed=signed) for each in interval)
    return told, Mark(f" [{low}, {high}]", "small")


def duration(seconds: float) -> str:
    """Returns seconds in a readable form."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def short_count(value: float) -> str:
    """Returns a count in three digits: 54.3k, 1.58G."""
    for letter, unit in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= unit:
            return f"{value / unit:.3g}{letter}"
    return f"{value:.0f}"


def _digits(value: float, unit: str, form: str) -> str:
    return f"{100 * value if unit == 'share' else value:{form or _FORMS.get(unit, '.3f')}}"
