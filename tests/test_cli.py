"""Verbs are listed without being imported, and what the list says of one is its own help."""

import pytest
from typer.testing import CliRunner

from chiasm.cli import VERBS, app, load_verb


@pytest.mark.parametrize("name", VERBS)
def test_the_list_says_what_the_verb_says(name: str) -> None:
    [said, *_] = load_verb(name).help.split("\n\n")
    assert " ".join(said.split()) == VERBS[name]


def test_verbs_are_listed_in_the_order_of_a_study() -> None:
    lines = CliRunner().invoke(app, ["--help"]).output.splitlines()
    listed = [line.strip("│ ").split()[0] for line in lines if line.strip("│ ")]
    assert [word for word in listed if word in VERBS] == list(VERBS)


def test_a_verb_that_is_not_there_is_refused_with_the_nearest() -> None:
    outcome = CliRunner().invoke(app, ["trian"])
    assert outcome.exit_code == 2
    assert "Did you mean 'train'?" in outcome.output
