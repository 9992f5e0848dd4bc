"""Verbs are listed without being imported, and what the list says of one is its own help."""

from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from chiasm.cli import MODULES, VERBS, app, scaling
from chiasm.cli.verbs import load_verb


@pytest.mark.parametrize("name", VERBS)
def test_the_list_says_what_the_verb_says(name: str) -> None:
    assert first_words(load_verb(name, MODULES[name])) == VERBS[name]


def test_the_list_of_scaling_says_what_its_verb_says() -> None:
    listed: Any = typer.main.get_group(scaling.app).commands["plan"]
    assert first_words(load_verb("plan", "planning")) == listed.help


def first_words(verb: Any) -> str:
    """The first paragraph of its help, on one line."""
    return " ".join(verb.help.split("\n\n")[0].split())


def test_verbs_are_listed_in_the_order_of_a_study() -> None:
    lines = CliRunner().invoke(app, ["--help"]).output.splitlines()
    listed = [line.strip("│ ").split()[0] for line in lines if line.strip("│ ")]
    assert [word for word in listed if word in VERBS] == list(VERBS)


def test_a_verb_that_is_not_there_is_refused_with_the_nearest() -> None:
    outcome = CliRunner().invoke(app, ["trian"])
    assert outcome.exit_code == 2
    assert "Did you mean 'train'?" in outcome.output
