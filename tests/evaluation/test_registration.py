"""A measure in a file of somebody else's: the one that docs/evaluation.md shows."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chiasm.assembly import train_run
from chiasm.assembly.measured import evaluate_run
from chiasm.cli import app
from chiasm.errors import UserError
from chiasm.evaluation.measure import Measure
from chiasm.evaluation.settings import MEASURES, EvaluationSettings, complete
from chiasm.evaluation.shared import MeasureSettings
from chiasm.recipe import load_recipe

PAGE = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text()
[MODULE] = re.findall(r"```python\n(\"\"\"last_word\.py.*?)```", PAGE, re.DOTALL)
BROKEN = """
from chiasm.evaluation.measure import Measure
from chiasm.evaluation.settings import MEASURES

@MEASURES.register
class Broken(Measure):
    section = "broken"

    def measure(self, run):
        return {}["nothing"]

@MEASURES.register
class Mute(Measure):
    section = "mute"

    def measure(self, run):
        pass
"""
RECIPE = """
name = "texts"
imports = ["last_word.py", "broken.py"]
streams.image = { kind = "pixels", image_pixels = 8, patch_pixels = 4 }
tokenizer.vocabulary_tokens = 280
stream.sequence_length = 64
model = { width = 16, depth = 1, query_heads = 2, key_value_heads = 1 }
training = { steps = 2, schedule.warmup_steps = 1, validation_batches = 1 }
evaluation = { last_words = 6, text_documents = 6, shown = 2, steps = 1, continuation_tokens = 4 }
[stream.sources.book]
kind = "text"
path = "PATH"
document_characters = 40
held_out_fraction = 0.5
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Iterator[Path]:
    """A run whose recipe names two measures; they are forgotten afterwards."""
    folder, registered = tmp_path_factory.mktemp("texts"), dict(MEASURES._measures)
    (folder / "last_word.py").write_text(MODULE)
    (folder / "broken.py").write_text(BROKEN)
    (folder / "book.txt").write_text(
        "\n\n".join(f"Room {n} has a wall of wood." for n in range(40))
    )
    (folder / "recipe.toml").write_text(RECIPE.replace("PATH", str(folder / "book.txt")))
    train_run(load_recipe(folder / "recipe.toml"), folder / "run", tell=lambda line: None)
    yield folder / "run"
    MEASURES._measures = registered


def test_it_is_on_the_page_in_json_and_on_the_terminal(run: Path) -> None:
    result = CliRunner().invoke(app, ["evaluate", str(run), "--set", "evaluation.last_words=5"])
    assert result.exit_code == 0, result.output
    assert "book: last words that are right" in result.stdout
    assert "broken: KeyError: 'nothing'" in result.stdout.replace("\n", " ")
    assert "last word: " not in result.stdout, "it is measured"
    page, record = (run / "report.html").read_text(), json.loads((run / "report.json").read_text())
    [row] = [row for row in record["rows"] if row["section"] == "last word"]
    assert (row["num_items"], row["baseline"], row["headline"]) == (5, 1.0, True)
    assert record["settings"]["last_words"] == 5
    assert "last word" in record["seconds"]
    for words in ("How it ends", "The most frequent last word", row["name"]):
        assert words in page


def test_one_that_fails_is_told_with_its_line_and_the_others_are_measured(run: Path) -> None:
    evaluation, _ = evaluate_run(run, tell=lambda line: None)
    why = evaluation.skipped["broken"]
    assert why.startswith("KeyError: 'nothing'")
    assert why.endswith("broken.py, line 10)")
    assert evaluation.skipped["mute"] == "its measure() gave a NoneType; Findings are asked for"
    assert {"text", "last word"} <= {row.section for row in evaluation.rows}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("evaluation.last_words=1", r"evaluation\.last_words = 1: should be greater"),
        ("evaluation.last_wrods=4", r"the nearest is evaluation\.last_words"),
        (
            "evaluation.reference_encoder=nowhere",
            r"evaluation\.reference_encoder = 'nowhere' is neither a folder",
        ),
    ],
)
def test_its_settings_are_checked_like_any_other(run: Path, override: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        evaluate_run(run, [override], tell=lambda line: None)


def test_settings_may_build_on_those_of_another_measure(monkeypatch) -> None:
    class First(MeasureSettings):
        first: int = 1

    class Second(First):
        second: int = 2

    def made(section: str, settings: type) -> type:
        found = {"section": section, "settings": settings, "measure": lambda self, run: None}
        return type(section, (Measure,), found)

    for order in (("one", First), ("two", Second)), (("two", Second), ("one", First)):
        monkeypatch.setattr(MEASURES, "_measures", dict(MEASURES._measures))
        for section, settings in order:
            MEASURES.register(made(section, settings))
        content = complete(EvaluationSettings(shown=3)).model_dump()
        assert (content["first"], content["second"], content["shown"]) == (1, 2, 3)
        monkeypatch.undo()


class Taken(MeasureSettings):
    drawings: int = 1


@pytest.mark.parametrize(
    ("section", "settings", "message"),
    [
        ("questions", MeasureSettings, r"'questions' is registered by chiasm\.evaluation\.q"),
        ("mine", Taken, r"'mine': evaluation\.drawings is a setting of measure 'caption to"),
    ],
)
def test_a_name_that_is_taken_is_refused(section: str, settings: type, message: str) -> None:
    measure = type("Mine", (Measure,), {"section": section, "settings": settings})
    with pytest.raises(ValueError, match=message):
        MEASURES.register(measure)


def test_a_broken_recipe_names_the_module(run: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    shutil.copy(run.parent / "recipe.toml", recipe)
    (tmp_path / "last_word.py").write_text(MODULE.replace('"last word"', '"text"'))
    with pytest.raises(UserError, match=r"(?s)last_word\.py.*'text' is registered by chiasm"):
        load_recipe(recipe)
