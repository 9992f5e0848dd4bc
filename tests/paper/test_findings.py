"""The shipped findings lead somewhere, and a file that does not is refused."""

from pathlib import Path

import pytest

from chiasm.errors import UserError
from chiasm.paper.findings import SHIPPED, load_findings, results_of
from chiasm.studies.cells import expand
from chiasm.studies.settings import load_study

STUDIES = Path(__file__).parents[2] / "recipes" / "studies"

WRONG = {
    "which is not there": ("[results.paper-moe]", "[results.paper-mixture]"),
    "two findings have the id": ('id = "dense-gap"', 'id = "growth"'),
    "say why in waits": ('waits = "such weights', 'claim = "such weights'),
    "name a number of dense-exponents": (
        'follows = "text: a of N ∝ C^a"',
        'follows = "another number"',
    ),
    "that says value and against: remove them": ("study = {", "value = 1.0\nstudy = {"),
    "has published no 'text out of its domain'": ("text in its domain", "text out of its domain"),
    "nowhere.toml does not exist": ('result = "tokenizers"', 'result = "nowhere"'),
}


@pytest.fixture(scope="module")
def findings():
    return load_findings()


def test_every_study_that_is_named_measures_what_is_asked(findings):
    asked = [n.study for f in findings.findings for n in f.numbers if n.study is not None]
    for name in {study.result for study in asked}:
        study = load_study(STUDIES / f"{name}.toml")
        cells = {cell.name for cell in expand(study)}
        metrics = {metric.name for metric in study.metrics}
        for own in (each for each in asked if each.result == name):
            assert {own.cell, own.against} <= cells
            assert own.metric in metrics
        assert f"recipes/studies/{name}.toml" in findings.results[name].commands[0]


def test_what_studies_published_is_what_the_findings_say(findings):
    (number,) = next(f for f in findings.findings if f.id == "video-helps-text").numbers
    assert (number.value, number.against) == (13.754, 13.834)
    path = STUDIES / "text-and-other-data.toml"
    assert {13.754, 13.834} <= {entry.value for entry in load_study(path).published}


def test_every_result_is_used_and_every_part_is_there(findings):
    used = {name for finding in findings.findings for name in results_of(finding)}
    assert used == set(findings.results)
    assert len({finding.part for finding in findings.findings}) == 5


@pytest.mark.parametrize("message", WRONG)
def test_wrong_files_are_refused(tmp_path, message):
    path, (before, after) = tmp_path / "findings.toml", WRONG[message]
    text = SHIPPED.read_text()
    assert before in text
    if message == "say why in waits":
        text = text.replace('waits = "such weights are not here yet"\n', "")
    path.write_text(text.replace(before, after, 1))
    with pytest.raises(UserError, match=message):
        load_findings(path)
