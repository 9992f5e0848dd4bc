"""Study files are read strictly."""

import pytest

from chiasm.errors import UserError
from chiasm.studies.settings import load_study


def test_a_study_is_read_with_its_recipe_beside_it(study_path):
    study = load_study(study_path())
    assert study.recipe.read_text().startswith('name = "tiny"')
    assert [cell.name for cell in study.cells] == ["texts alone", "with pictures"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("basline = 'texts alone'", "unknown setting basline; the nearest is baseline"),
        ("equal_source = 'texts'", "belong together"),
        ("grid = { 'model.width' = [] }", "grid.model.width has no values"),
        ("seeds = 3", "cannot be read"),  # TOML refuses a second value itself
    ],
)
def test_wrong_heads_are_named(study_path, more, message):
    with pytest.raises(UserError, match=message):
        load_study(study_path(more))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seeds = [0, 1]", "seeds = [1, 1]", "seeds has '1' 2 times"),
        ('name = "with pictures"', 'name = "texts alone"', "cells has 'texts alone' 2 times"),
        ('held_out = "texts"', 'held_out = "stories"', "there is: texts, pictures"),
        ('held_out = "texts"', 'held_out = "texts"\nreport = "x"', "exactly one of held_out"),
        (
            'metric = "texts, in domain"',
            'metric = "texts"',
            "published.metric = 'texts' is not",
        ),
        ('texts = ["pictures"]', 'texts = ["captions"]', "shift: held_out has no 'captions'"),
        ('validation = "text_loss"', 'validaton = "text_loss"', "nearest is metrics.validation"),
        ('name = "with pictures"', 'name = "x"\nbudget_flops = 1e9', "budget_flops is missing in"),
        (
            'validation = "text_loss"',
            'validation = "txt_loss"',
            "is no loss of a run; there is loss",
        ),
        (
            'held_out = "texts"',
            'held_out = "texts"\nloss = "flow"',
            "texts has no pictures to draw",
        ),
    ],
)
def test_wrong_parts_are_named(study_path, old, new, message):
    with pytest.raises(UserError, match=message):
        load_study(study_path(**{old: new}))
