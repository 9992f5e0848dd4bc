"""Cells: overrides, sources, grids, and a hash of what is learned and nothing else."""

import json
from pathlib import Path

import pytest

from chiasm.errors import UserError
from chiasm.recipe import parse_recipe, resolved
from chiasm.studies.cells import DEFAULTS, _chosen, expand
from chiasm.studies.settings import load_study

GOLDEN = Path(__file__).parents[1] / "golden" / "defaults.json"


def leaves(content, before=""):
    for name, value in content.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def keys(path):
    return [cell.key for cell in expand(load_study(path))]


def test_cells_and_seeds_are_resolved_recipes(study_path):
    cells = expand(load_study(study_path()))
    assert [cell.title for cell in cells[:3]] == [
        "texts alone, seed 0",
        "texts alone, seed 1",
        "with pictures, seed 0",
    ]
    assert list(cells[0].recipe.stream.sources) == ["texts"]
    assert list(cells[2].recipe.stream.sources) == ["pictures", "texts"]
    assert [cell.recipe.seed for cell in cells] == [0, 1, 0, 1]
    assert len({cell.key for cell in cells}) == 4
    assert len({cell.inputs_key for cell in cells}) == 1, "all read through the same tokenizers"


def test_the_hash_is_of_what_is_learned(study_path):
    before = keys(study_path())
    assert keys(study_path()) == before
    renamed = study_path(**{'name = "texts alone"': 'name = "words"', "texts alone": "words"})
    assert keys(renamed) == before
    assert keys(study_path("set = { 'evaluation.drawings' = 9 }")) == before
    assert not set(keys(study_path("set = { 'training.steps' = 11 }"))) & set(before)
    assert not set(keys(study_path("set = { 'tokenizer.vocabulary_tokens' = 290 }"))) & set(before)


def test_what_is_default_is_no_part_of_the_hash(study_path):
    """So a version with a further setting goes on with the studies of the one before."""
    before = keys(study_path())
    assert keys(
        study_path("set = { 'model.qk_norm' = true, 'training.router_bias_rate' = 0.0 }")
    ) == (before)
    assert not set(keys(study_path("set = { 'model.qk_norm' = false }"))) & set(before)


def test_the_kind_of_optimizer_was_implied_before_there_were_kinds(study_path):
    study = load_study(study_path("set = { 'training.optimizer.learning_rate' = 0.5 }"))
    recipe = expand(study)[0].recipe
    assert recipe.training.optimizer.kind == "adamw"
    assert _chosen(recipe)["training"]["optimizer"] == {"learning_rate": 0.5}


def test_a_default_that_changes_begins_studies_anew():
    """A changed default: raise DEFAULTS, and change it in the file; a further setting: add it."""
    sources = {
        "stories": {"kind": "world", "task": "text"},
        "text": {"kind": "text", "path": "texts"},
        "image_text": {"kind": "image_text", "path": "pictures"},
        "vqa": {"kind": "vqa", "path": "questions"},
        "trajectories": {"kind": "trajectories", "task": "video", "path": "walks"},
    }
    recipe = parse_recipe({"name": "defaults", "stream": {"sources": sources}})
    kept = json.loads(GOLDEN.read_text())
    assert kept == {"DEFAULTS": DEFAULTS, **dict(leaves(resolved(recipe)))}


def test_a_grid_makes_every_combination(study_path):
    path = study_path("grid = { 'model.width' = [16, 32], 'training.steps' = [10, 20] }")
    text = path.read_text()
    path.write_text(text[: text.index("[[published]]")])  # its cells are the grid's now
    cells = expand(load_study(path))
    assert len(cells) == 2 * 4 * 2
    assert cells[0].name == "texts alone, model.width = 16, training.steps = 10"
    assert {(c.recipe.model.width, c.recipe.training.steps) for c in cells} == {
        (16, 10),
        (16, 20),
        (32, 10),
        (32, 20),
    }


def test_cells_of_one_content_are_one_run(study_path):
    path = study_path(
        **{
            'name = "with pictures"': 'name = "again"\nsources = { texts = 1.0 }',
            'cell = "with pictures"': 'cell = "again"',
        }
    )
    cells = expand(load_study(path))
    assert cells[0].key == cells[2].key
    assert cells[0].key != cells[1].key


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("texts = 1.0", "stories = 1.0", "cell 'texts alone' .* names stories, .* pictures, texts"),
        ("sources = {", "set = { 'model.widht' = 8 }\nsources = {", "nearest is model.width"),
        ("seeds = [0, 1]", "seeds = [0]\nbaseline = 'words'", "baseline = 'words' is no cell"),
        ('cell = "with pictures"', 'cell = "with videos"', "published.1..cell = 'with videos'"),
    ],
)
def test_wrong_cells_are_named(study_path, old, new, message):
    with pytest.raises(UserError, match=message):
        expand(load_study(study_path(**{old: new})))
