"""Verdicts follow from kept results."""

import json

import pytest

from chiasm.paper import judge, load_findings, read_results
from chiasm.paper.agreement import Agreement

STUDY = "text-and-other-data"
METRIC = "text in its domain"
SEEDS = (1.00, 1.10, 1.20)


def shifted(by, noise=(0.0, 0.001, -0.001)):
    return [value + by + each for value, each in zip(SEEDS, noise, strict=True)]


@pytest.fixture(scope="module")
def findings():
    return load_findings()


def verdicts(findings, kept):
    return {each.finding.id: each.agreement for each in judge(findings, kept)}


def test_without_results_nothing_is_measured(findings):
    judged = judge(findings, {})
    assert {each.agreement for each in judged} == {Agreement.NOT_MEASURED}
    refits = [m for each in judged for n in each.numbers for m in n.measurements if m.is_refit]
    assert refits
    assert all(each.agreement is not Agreement.NOT_MEASURED for each in refits)


@pytest.mark.parametrize(
    ("by", "video", "captions"),
    [
        (-0.05, Agreement.AGREES, Agreement.DISAGREES),
        (+0.05, Agreement.DISAGREES, Agreement.AGREES),
        (0.0, Agreement.UNDECIDED, Agreement.UNDECIDED),
    ],
)
def test_signs_of_paired_differences_decide(findings, kept_study, by, video, captions):
    cells = ("text + video", "text + captioned pictures", "text + all")
    values = {("text", METRIC): SEEDS, **{(cell, METRIC): shifted(by) for cell in cells}}
    folder = kept_study(STUDY, values)
    found = verdicts(findings, read_results(folder.parent))
    assert found["video-helps-text"] is video
    assert found["captions-hurt-text"] is captions
    assert found["text-out-of-domain"] is Agreement.NOT_MEASURED


def test_what_is_undecided_says_why(findings, kept_study, tmp_path):
    cells = ("text + video", "text + captioned pictures", "text + all")
    flat = {("text", METRIC): SEEDS, **{(cell, METRIC): shifted(0.0) for cell in cells}}
    folder = kept_study(STUDY, flat)
    law_file(folder.parent, 1.0, {**EXPONENTS, ("size_exponent", "text"): 0.38})
    judged = {each.finding.id: each for each in judge(findings, read_results(folder.parent))}
    (number,) = judged["video-helps-text"].numbers
    assert number.measurements[0].doubt == "the interval holds zero"
    doubts = [m.doubt for n in judged["dense-exponents"].numbers for m in n.measurements]
    assert doubts.count("") >= 2, "what is decided has none"


def test_seeds_are_paired(findings, kept_study):
    """Seeds differ by twenty times the difference, which their pairs still show."""
    folder = kept_study(STUDY, {("text", METRIC): SEEDS, ("text + video", METRIC): shifted(-0.01)})
    found = {each.finding.id: each for each in judge(findings, read_results(folder.parent))}
    (number,) = found["video-helps-text"].numbers
    (measured,) = number.measurements
    (interval,) = measured.intervals.values()
    assert interval.value == pytest.approx(-0.01)
    assert interval.high < 0
    assert measured.scale == "200 k active parameters; 1 k tokens; 1.00e09 FLOPs; 3 seeds"


def test_a_finding_that_is_partly_measured_is_undecided(findings, kept_study):
    values = {("text", METRIC): SEEDS, ("text + all", METRIC): shifted(0.05)}
    folder = kept_study(STUDY, values)
    found = verdicts(findings, read_results(folder.parent))
    assert found["captions-hurt-text"] is Agreement.UNDECIDED


def law_file(results, gamma, numbers):
    """A kept fit of the dense study: (quantity, modality) → value ± 0.02 by one method."""
    rows = [
        {
            **{"quantity": quantity, "of": of, "minus": "", "size": None, "method": "projection"},
            **{"value": value, "low": value - 0.02, "high": value + 0.02, "gamma": gamma},
        }
        for (quantity, of), value in numbers.items()
    ]
    folder = results / "isoflop-dense"
    folder.mkdir(parents=True)
    (folder / "laws.json").write_text(json.dumps({"source": "x", "flags": [], "numbers": rows}))


EXPONENTS = {("size_exponent", "text"): 0.47, ("size_exponent", "vision"): 0.37}


@pytest.mark.parametrize(
    ("gamma", "verdict"), [(1.0, Agreement.AGREES), (1.24, Agreement.UNDECIDED)]
)
def test_exponents_compare_only_where_n_is_the_papers(findings, tmp_path, gamma, verdict):
    law_file(tmp_path, gamma, EXPONENTS)
    judged = {each.finding.id: each for each in judge(findings, read_results(tmp_path))}
    found = judged["dense-exponents"]
    assert found.agreement is verdict
    own = [m for number in found.numbers for m in number.measurements if not m.is_refit]
    told = [measurement.doubt for measurement in own if measurement.intervals]
    assert all(("not comparable" in doubt) == (gamma != 1.0) for doubt in told)


def test_one_fact_counts_once(findings, tmp_path):
    """b that contradicts is shown; a alone decides, since b = 1 - a."""
    wrong = {("token_exponent", "text"): 0.9, ("token_exponent", "vision"): 0.9}
    law_file(tmp_path, 1.0, {**EXPONENTS, **wrong})
    judged = {each.finding.id: each for each in judge(findings, read_results(tmp_path))}
    assert judged["dense-exponents"].agreement is Agreement.AGREES
    followers = [n for n in judged["dense-exponents"].numbers if n.published.follows]
    assert [number.agreement for number in followers] == [Agreement.DISAGREES] * 2
