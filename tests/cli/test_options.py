"""Settings as options: names, defaults, bounds and help are those of the fields."""

from pathlib import Path
from typing import Annotated

import pytest
import typer
from pydantic import Field, model_validator
from typer.testing import CliRunner, Result

from chiasm.cli import MODULES
from chiasm.cli.options import but, only, with_settings
from chiasm.cli.verbs import load_verb
from chiasm.errors import SettingsError, UserError
from chiasm.fields import meaning
from chiasm.inference.request import SamplingSettings, Solver
from chiasm.settings import Settings


class Own(Settings):
    """Settings of this test."""

    most: int = Field(3, ge=1, le=9)
    """How many, as in ``most``."""
    share: float | None = Field(None, gt=0, lt=1)
    """How much."""
    solver: Solver = Solver.EULER
    """Which."""
    words: tuple[str, ...] = ()
    """Said."""
    file: Path | None = None
    """Where."""

    @model_validator(mode="after")
    def _check(self) -> "Own":
        if self.share is not None and self.most == 9:
            raise SettingsError("too many to share")
        return self


MANY = Own(most=7)


def invoke(*arguments: object) -> tuple[Result, list[Own]]:
    """What a verb with one option of its own and those of Own prints, and the settings it gets."""
    found: list[Own] = []

    @with_settings
    def verb(own: Annotated[Own, but("file")] = MANY, seed: int = 0) -> None:
        found.append(own)

    app = typer.Typer()
    app.command()(verb)
    return CliRunner().invoke(app, [str(each) for each in arguments]), found


def test_options_are_read_as_settings_are() -> None:
    assert invoke()[1] == [MANY]
    given = ("--most", 2, "--share", 0.5, "--solver", "heun", "--words", "a", "--words", "b")
    read = Own(most=2, share=0.5, solver=Solver.HEUN, words=("a", "b"))
    assert invoke(*given, "--seed", 3)[1] == [read]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("--most", 0), "--most 0: give a number ≥ 1 and ≤ 9"),
        (("--share", "nan"), "--share nan: give a number > 0 and < 1"),
        (("--share", "1"), "--share 1: give a number > 0 and < 1"),
        (("--share", "0.5", "--most", 9), "too many to share"),
    ],
)
def test_what_the_settings_refuse_is_told_as_the_option(
    given: tuple[object, ...], told: str
) -> None:
    result, found = invoke(*given)
    assert isinstance(result.exception, UserError)
    assert (str(result.exception), found) == (told, [])


def test_a_field_that_is_left_out_has_no_option() -> None:
    result, found = invoke("--file", "x")
    assert (result.exit_code, found) == (2, [])
    assert "No such option: --file" in result.output


def test_some_fields_may_have_options_of_other_names() -> None:
    names = only("words", most="many")(Own)
    assert names == {"words": "words", "most": "many"}


def test_sample_has_an_option_for_each_field_but_one() -> None:
    options = {each.name: each for each in load_verb("sample", MODULES["sample"]).params}
    assert "batch_size" not in options
    for field in SamplingSettings.model_fields.keys() - {"batch_size"}:
        option = options["solver_steps" if field == "steps" else field]
        assert option.help == meaning(SamplingSettings, field).replace("`", "")
        assert option.default in (getattr(SamplingSettings(), field), None, [])
