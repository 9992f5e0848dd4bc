"""The page and its JSON: every finding, every command, nothing from outside."""

import json
import re

import pytest

from chiasm.errors import UserError
from chiasm.paper import judge, load_findings, read_results, write_paper

STUDY = "text-and-other-data"
METRIC = "text in its domain"


@pytest.fixture
def written(kept_study, tmp_path):
    folder = kept_study(
        STUDY, {("text", METRIC): [1.0, 1.1, 1.2], ("text + video", METRIC): [0.9, 1.01, 1.1]}
    )
    findings, kept = load_findings(), read_results(folder.parent)
    return findings, write_paper(findings, judge(findings, kept), kept, tmp_path / "out")


def test_every_finding_stands_there_with_its_command(written):
    findings, files = written
    page = files.page.read_text()
    for finding in findings.findings:
        assert f'id="{finding.id}"' in page
    for result in findings.results.values():
        assert all(command in page for command in result.commands)
    for link in re.findall(r'href="#([^"]+)"', re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL)):
        assert f'id="{link}"' in page
    assert "abc123" in page
    assert "a laptop" in page
    assert "nan" not in re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL).lower().split()


def test_the_page_needs_nothing_beside_it(written):
    page = written[1].page.read_text()
    assert page.count("<svg") == 1
    assert not re.findall(r"(?:src|href)=[\"'](?!#)", page.replace("xlink:href", ""))


def test_the_json_says_the_same(written):
    findings, files = written
    content = json.loads(files.table.read_text())
    assert len(content["findings"]) == len(findings.findings)
    first = content["findings"][0]
    assert first["agreement"] == "agrees"
    (measured,) = first["numbers"][0]["measured"]
    value, low, high = measured["by_method"]["paired difference"]
    assert low < value < high < 0
    assert content["results"][STUDY]["machines"] == ["a laptop"]


def test_a_folder_that_cannot_be_written_is_named(written, tmp_path):
    findings, _ = written
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write_paper(findings, judge(findings, {}), {}, tmp_path / "file")
