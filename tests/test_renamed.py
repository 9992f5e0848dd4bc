"""Recipes of earlier versions: every renamed setting is told with its new name."""

from pathlib import Path

import pytest

from chiasm.errors import UserError
from chiasm.recipe import load_recipe
from chiasm.renamed import SETTINGS, VALUES

QUICKSTART = Path(__file__).parents[1] / "recipes" / "quickstart.toml"


def known(name: str) -> bool:
    """Whether a recipe has the setting: a wrong type is told otherwise than an unknown name."""
    try:
        load_recipe(QUICKSTART, [f'{name}="no such value"'])
    except UserError as error:
        return "unknown setting" not in str(error)
    return True


@pytest.mark.parametrize("old", SETTINGS)
def test_a_renamed_setting_is_told_with_its_new_name(old):
    with pytest.raises(UserError, match=f"{old}.* it is called .*{SETTINGS[old]} now"):
        load_recipe(QUICKSTART, [f"{old}=1"])
    assert known(f"{old.rpartition('.')[0]}.{SETTINGS[old]}")
    assert not known(old)


@pytest.mark.parametrize(("name", "old"), VALUES)
def test_a_renamed_value_is_told_with_its_new_one(name, old):
    new = VALUES[name, old]
    with pytest.raises(UserError, match=f"{name} = '{old}'.* it is called {new} now"):
        load_recipe(QUICKSTART, [f"{name}={old}"])
    load_recipe(QUICKSTART, [f"{name}={new}"])
