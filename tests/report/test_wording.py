import math

import numpy as np
import pytest

from chiasm.evaluation.rows import Measurement
from chiasm.report.wording import duration, short_count, signed, verdict_phrase, with_error

MAPS = np.arange(20)
NOISE = np.random.default_rng(0).normal(size=20) * 0.01


def row(value, baseline, better="higher", unit="share", clusters=MAPS):
    measure = Measurement("questions", unit, better, 0, clusters)
    return measure.row("answers", np.full(20, value) + NOISE, np.full(20, baseline), "a baseline")


@pytest.mark.parametrize(
    ("value", "baseline", "better", "phrase"),
    [
        (0.7, 0.5, "higher", "beats a baseline by"),
        (0.5, 0.7, "higher", "worse than a baseline by"),
        (0.5, 0.7, "lower", "beats a baseline by"),
        (0.5, 0.5, "higher", "not separated from a baseline"),
    ],
)
def test_verdicts_in_words(value, baseline, better, phrase):
    assert verdict_phrase(row(value, baseline, better)).startswith(phrase)


def test_one_cluster_is_said_to_allow_no_verdict():
    assert "one cluster" in verdict_phrase(row(0.9, 0.1, clusters=np.zeros(20)))


def test_differences_carry_their_sign():
    assert signed(row(0.5, 0.7)).startswith("−20")
    assert signed(row(0.7, 0.5)).startswith("+")


def test_shares_are_per_cent_and_decibels_have_two_digits():
    assert with_error(0.5, 0.01, "share") == "50.0 ± 1.0 %"
    assert with_error(17.123, 0.456, "dB") == "17.12 ± 0.46"
    assert "no standard error" in with_error(1.0, math.nan, "dB")


@pytest.mark.parametrize(
    ("seconds", "words"), [(12.3, "12 s"), (125, "2 min 5 s"), (7260, "2 h 1 min")]
)
def test_durations(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("value", "told"), [(7, "7"), (54_321, "54.3k"), (1.58e6, "1.58M"), (2e12, "2T")]
)
def test_counts_are_short(value, told):
    assert short_count(value) == told
