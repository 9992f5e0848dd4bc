import math

import numpy as np
import pytest

from chiasm.evaluation.rows import Measurement
from chiasm.report.doc import plain
from chiasm.report.numbers import duration, estimate, number, short_count
from chiasm.report.page import verdict_phrase

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
    assert estimate(-0.2, 0.01, unit="share", signed=True) == "-20.0 ± 1.0 %"
    assert estimate(0.2, 0.01, unit="share", signed=True) == "+20.0 ± 1.0 %"
    assert number(0.0, signed=True) == "0.000"


def test_an_interval_stands_in_brackets_where_it_is_known():
    assert plain(estimate(0.5, 0.01, (0.4, 0.6))) == "0.500 ± 0.010 [0.400, 0.600]"
    assert plain(estimate(3e-5, interval=(1e-5, 0.1), form=".3g")) == "3e-05 [1e-05, 0.1]"
    assert plain(estimate(0.5, math.nan, (math.nan, math.nan))) == "0.500"
    assert number(math.nan) == "unknown"


def test_where_nothing_varies_there_is_no_error():
    assert estimate(1.0, 0.0, (1.0, 1.0), unit="share") == "100.0 %"
    assert estimate(0.5, 1e-17, unit="share") == "50.0 %"


def test_shares_are_per_cent_and_decibels_have_two_digits():
    assert estimate(0.5, 0.01, unit="share") == "50.0 ± 1.0 %"
    assert estimate(17.123, 0.456, unit="dB") == "17.12 ± 0.46"


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
