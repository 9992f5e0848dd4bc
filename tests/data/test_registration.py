"""A kind of source that a file of somebody else's registers: the one that docs/data.md shows."""

import re
from pathlib import Path

import pytest

from chiasm.assembly import open_material, train_run
from chiasm.errors import UserError
from chiasm.evaluation.evaluate import evaluate
from chiasm.evaluation.settings import EvaluationSettings
from chiasm.inference.pretrained import Pretrained
from chiasm.recipe import load_recipe

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text()
[MODULE] = re.findall(r"```python\n(\"\"\"sums\.py.*?)```", PAGE, re.DOTALL)
RECIPE = """
name = "sums"
imports = ["sums.py"]
streams.image = { kind = "pixels", image_pixels = 8, patch_pixels = 4 }
tokenizer.vocabulary_tokens = 280
stream = { sequence_length = 32, sources.sums = { kind = "sums", count = 60 } }
model = { width = 16, depth = 1, query_heads = 2, key_value_heads = 1 }
training = { steps = 4, schedule.warmup_steps = 1, validation_batches = 1 }
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "sums.py").write_text(MODULE)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path / "recipe.toml"


@pytest.mark.slow
def test_a_registered_kind_is_trained_on_and_measured(path: Path, tmp_path: Path, monkeypatch):
    recipe = load_recipe(path)
    train_run(recipe, tmp_path / "run", tell=lambda line: None)
    monkeypatch.chdir("/")  # the kept recipe finds the module from anywhere
    again = load_recipe(tmp_path / "run" / "recipe.toml", ["evaluation.text_documents=4"])
    assert again.stream.sources == recipe.stream.sources
    material = open_material(again)
    assert "60 documents of arithmetic, 6 of them" in material.facts["sums"].line("sums")
    few = EvaluationSettings(text_documents=4, ngram_documents=20, shown=1, steps=1)
    found = evaluate(Pretrained.load(tmp_path / "run"), material, few)
    assert "text" in {row.section for row in found.rows}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ('imports=["none.py"]', "imports = 'none.py' is no file; give a module that Python"),
        ('imports=["no_such_module"]', "imports = 'no_such_module' cannot be imported: Module"),
        ("stream.sources.sums.count=3", "stream.sources.sums.count = 3: should be greater"),
        ("stream.sources.sums.cuont=3", "the nearest is stream.sources.sums.count"),
        ("stream.sources.sums.kind=sum", "'sum' is no kind of source; choose one of .*sums"),
    ],
)
def test_mistakes_name_their_setting(path: Path, override: str, message: str):
    with pytest.raises(UserError, match=message):
        load_recipe(path, [override])
