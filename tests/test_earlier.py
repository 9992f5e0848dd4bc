"""Recipes of earlier versions: each renamed or removed setting is told with what is right now."""

import re
from pathlib import Path

import pytest

from chiasm.earlier import BUILT_IN, ELSEWHERE, RENAMED, RENAMED_VALUES, built_in
from chiasm.errors import UserError
from chiasm.recipe import Recipe, load_recipe
from chiasm.studies.settings import StudySettings
from chiasm.toml import assign, parse_settings
from chiasm.vision.learning.settings import VisionTrainingSettings

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"
QUICKSTART = Path(__file__).parents[1] / "recipes" / "quickstart.toml"


def known(name: str) -> bool:
    """Whether a recipe has the setting: a wrong type is told otherwise than an unknown name."""
    try:
        load_recipe(QUICKSTART, [f'{name}="no such value"'])
    except UserError as error:
        return "unknown setting" not in str(error)
    return True


@pytest.mark.parametrize("old", RENAMED)
def test_a_renamed_setting_is_told_with_its_new_name(old):
    with pytest.raises(UserError, match=f"{old}.* it is called .*{RENAMED[old]} now"):
        load_recipe(QUICKSTART, [f"{old}=1"])
    assert known(f"{old.rpartition('.')[0]}.{RENAMED[old]}")
    assert not known(old)


@pytest.mark.parametrize(("name", "old"), RENAMED_VALUES)
def test_a_renamed_value_is_told_with_its_new_one(name, old):
    new = RENAMED_VALUES[name, old]
    with pytest.raises(UserError, match=f"{name} = '{old}'.* is a name of before; write {new}"):
        load_recipe(QUICKSTART, [f"{name}={old}"])
    load_recipe(QUICKSTART, [f"{name}={new}"])


@pytest.mark.parametrize(
    ("kind", "name", "what"),
    [
        (Recipe, "stream.prefetched_batches", "4 batches"),
        (Recipe, "evaluation.planner.tie", "0.25 standard deviations"),
        (Recipe, "vision_training.contrastive.words_weight", "1"),
        (Recipe, "stream.sources.walks.trajectories.pose", "the walks of kind 'freedoom' are"),
        (VisionTrainingSettings, "contrastive.words_weight", "1"),
        (VisionTrainingSettings, "statistics_pictures", "20000 pictures"),
    ],
)
def test_a_removed_setting_says_what_is_built_in(kind, name, what):
    content = {"name": "old"}
    if kind is Recipe:
        content["stream"] = {"sources": {"walks": {"kind": "freedoom"}}}
    assign(content, name, 1)
    with pytest.raises(UserError, match=rf"^{name} is built in now: {what}.*; leave it out$"):
        parse_settings(kind, content)


def test_of_a_list_too():
    content = {"name": "old", "recipe": "x.toml", "metrics": [{"name": "a", "unit": "m"}]}
    with pytest.raises(UserError, match=r"metrics\.0\.unit is built in now: what the number's"):
        parse_settings(StudySettings, content)


def test_no_setting_that_is_there_is_removed():
    names = re.findall(r"^\| `([\w.]+)` \|", PAGE.read_text(), re.MULTILINE)
    gone = {name for name in names if built_in(name)}
    assert len(names) > 200
    assert all(name.startswith("stream.sources.NAME.trajectories.") for name in gone), gone
    assert len(gone) == sum(name.startswith("trajectories.") for name in BUILT_IN)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("training.optimizer.lr", "there is training.optimizer.learning_rate"),
        ("model.d_model", "there is model.width"),
        ("training.grad_clip", "there is training.max_grad_norm"),
        ("training.lr", "there is training.optimizer.learning_rate"),
        ("model.dropout", "model has width, depth"),
        ("steps", "there is instructions.steps and training.steps and evaluation.steps"),
    ],
)
def test_a_name_of_other_libraries_is_told_with_ours(name, told):
    with pytest.raises(UserError, match=f"unknown setting {name}; {told}"):
        load_recipe(QUICKSTART, [f"{name}=1"])


def test_names_of_other_libraries_lead_to_settings_that_are_there():
    names = re.findall(r"^\| `([\w.]+)` \|", PAGE.read_text(), re.MULTILINE)
    here = {name.rpartition(".")[2] for name in names}
    assert {ours for ours in ELSEWHERE.values() if ours} <= here
    assert not here & ELSEWHERE.keys()
