"""chiasm recipes: list, show, copy."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from chiasm.cli.recipes import app
from chiasm.recipe import load_recipe
from chiasm.shipped import shipped_recipe, shipped_recipes
from chiasm.studies.settings import load_study


def said(*words: str) -> str:
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_list_names_all_with_what_they_are_for() -> None:
    lines = said("list").splitlines()
    assert [line.split()[0] for line in lines] == list(shipped_recipes())
    assert lines[0].endswith((".", "?"))


@pytest.mark.parametrize(
    ("name", "verb"),
    [
        ("quickstart", "train"),
        ("vision-vae", "vision train"),
        ("vocoder", "sound train"),
        ("studies/targets", "study run"),
        ("studies/embedded-world", "train"),
    ],
)
def test_the_list_says_which_verb_takes_a_recipe(name: str, verb: str, tmp_path: Path) -> None:
    [line] = [line for line in said("list").splitlines() if line.split()[0] == name]
    assert line.removeprefix(name).strip().startswith(f"{verb}  ")
    copied = said("copy", name, str(tmp_path))
    assert f"chiasm {verb} {tmp_path / Path(name).name}.toml" in copied


def test_the_command_of_a_copy_is_that_of_its_comment(tmp_path: Path) -> None:
    command = f"chiasm train {tmp_path}/pictures.toml --set stream.sources.pictures.path=FOLDER"
    assert f"{command} --out runs/pictures" in said("copy", "pictures", str(tmp_path))


def test_what_is_shown_is_the_file() -> None:
    assert said("show", "texts") == shipped_recipe("texts").read_text()


def test_a_copied_study_has_the_recipe_that_it_varies(tmp_path: Path) -> None:
    said("copy", "studies/targets", str(tmp_path / "mine"))
    assert load_study(tmp_path / "mine" / "targets.toml").name == "targets"
    said("copy", "quickstart", str(tmp_path))
    assert load_recipe(tmp_path / "quickstart.toml").name == "quickstart"
    said("copy", "quickstart", str(tmp_path))  # the same again


def test_a_changed_copy_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "quickstart.toml").write_text("name = 'mine'")
    result = CliRunner().invoke(app, ["copy", "quickstart", str(tmp_path)])
    assert "exists and is another one" in str(result.exception)
    assert (tmp_path / "quickstart.toml").read_text() == "name = 'mine'"
