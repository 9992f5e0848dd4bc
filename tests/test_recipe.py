from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from chiasm.errors import UserError
from chiasm.recipe import (
    differences,
    load_recipe,
    parse_recipe,
    resolved,
    write_recipe,
)
from chiasm.toml import load_toml, parse_settings
from chiasm.vision.learning.settings import VisionTrainingSettings

SHIPPED = sorted((Path(__file__).parents[1] / "recipes").glob("*.toml"))
RUNS = [path for path in SHIPPED if "stream" in load_toml(path)]

SMALLEST = """
name = "small"
[stream.sources.books]
kind = "text"
path = "books"
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(SMALLEST)
    return path


def test_a_stream_names_its_tokenizer_unless_it_is_of_pictures():
    bare = {"name": "x", "stream": {"sources": {"t": {"kind": "text", "path": "p"}}}}
    assert parse_recipe(bare | {"streams": {"image": {}}}).streams["image"].kind == "rae"
    with pytest.raises(UserError) as caught:
        parse_recipe(bare | {"streams": {"image": {}, "depth": {"path": "p"}}})
    assert caught.value.setting == "streams.depth.kind"
    assert "streams.depth names no tokenizer; set kind to one of " in str(caught.value)
    assert "pixels" in caught.value.remedy


def test_there_are_shipped_recipes() -> None:
    assert "quickstart" in {path.stem for path in RUNS}


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_shipped_recipes_are_valid(path: Path) -> None:
    assert load_recipe(path).stream.sources


def test_overrides_reach_every_kind_of_setting(small: Path) -> None:
    overrides = [
        "model.width=96",
        "training.optimizer.learning_rate = 1e-4",
        "evaluation.rollout_horizons=[1, 2]",
        "training.compile_blocks=true",
        "stream.sources.books.path=other books",
        'name="a name"',
        "stream.sources.more.kind=text",
        "stream.sources.more.path=more",
    ]
    recipe = load_recipe(small, overrides)
    assert recipe.model.width == 96
    assert recipe.training.optimizer.learning_rate == 1e-4
    assert recipe.evaluation.rollout_horizons == (1, 2)
    assert recipe.training.compile_blocks is True
    assert recipe.stream.sources["books"].path == "other books"
    assert recipe.name == "a name"
    assert list(recipe.stream.sources) == ["books", "more"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.widht=96", "unknown setting model.widht; the nearest is model.width"),
        ("modle.width=96", "unknown setting modle; the nearest is model"),
        ("width=96", "unknown setting width; there is model.width"),
        ("training.learning_rate=1", "there is training.optimizer.learning_rate"),
        ("stream.sources.books.wieght=2", "the nearest is stream.sources.books.weight"),
        ("model.moe.zzz=1", "unknown setting model.moe.zzz; model.moe has num_experts, gran"),
        ("model.width=wide", "model.width = 'wide': should be a valid integer"),
        ("model.width=1.5", "model.width = 1.5: should be a valid integer"),
        ('model.width="96"', "model.width = '96': should be a valid integer"),
        ("model.width=-1", "model.width = -1: should be greater than 0"),
        ("model.qk_norm=1", "model.qk_norm = 1: should be a valid boolean; write true or false"),
        ("model.experts=many", "model.experts = 'many': should be 'dense', 'modality' or 'moe'"),
        ("model.width=100", "model.width = 100 does not divide into model.query_heads = 6"),
        ("model.moe.num_experts=8", "model.moe has settings, but model.experts = 'modality' has"),
        ("training.router_bias_rate=0.1", "training.router_bias_rate = 0.1 is for routers"),
        ("model.inner.block=5", "model.inner.block = 5 leaves no block of model.depth = 5 behind"),
        ("model.inner.target=average", "model.inner.block is missing"),
        ('model.inner={block=1, target="average"}', "run keeps none; set training.ema_decay"),
        ("objective.inner.weight=2", "objective.inner is for a head in the middle, and the model"),
        ("evaluation.inner_guidance=2", "evaluation.inner_guidance = 2.0 is by a head in the mid"),
        (
            "objective.load_balance_weight=inf",
            "objective.load_balance_weight = inf: should be a finite",
        ),
        ("model=3", "model"),
        ("model.width.x=3", "model.width: should be a valid integer"),
        ("model.width", "write it as name=value"),
        ("model..width=3", "write it as name=value"),
        ("name.x.y=3", "name is a value, not a group of settings"),
        ("stream.sources.books.kind=world", "unknown setting stream.sources.books.path"),
        ("stream.sources.books.path=", "stream.sources.books.path is missing"),
        ("training.steps=60", "training.schedule.warmup_steps = 60 leaves nothing"),
        (
            "training.steps=60",
            "with --set training.schedule.warmup_steps=6, or train for more steps",
        ),
        (
            "stream.sources.book.path=mine",
            "stream.sources.book.kind is missing: there is no book in stream.sources, which has "
            "books; choose one of ",
        ),
    ],
)
def test_mistakes_are_named(small: Path, override: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        load_recipe(small, [override])
    assert message in str(caught.value)


def names(settings: BaseModel, prefix: str = "") -> set[str]:
    """Dotted names of all settings and tables of a recipe."""
    found: set[str] = set()
    for name, value in settings:
        tables = value if isinstance(value, dict) else {}
        parts = {f"{name}.{key}": part for key, part in tables.items()} | {name: value}
        for dotted, part in parts.items():
            found.add(f"{prefix}{dotted}")
            found |= names(part, f"{prefix}{dotted}.") if isinstance(part, BaseModel) else set()
    return found


@pytest.mark.parametrize(
    ("override", "setting", "value"),
    [
        ("model.width=wide", "model.width", "wide"),
        ("model.width=-1", "model.width", -1),
        ("model.width=100", "model.width", 100),
        ("model.head_width=9", "model.head_width", 9),
        ("model.key_value_heads=4", "model.query_heads", 6),
        ("model.moe.granularity=2", "model.moe", None),
        ("model.experts=many", "model.experts", "many"),
        ('model={experts="moe",moe={granularity=1}}', "model.moe.granularity", 1),
        ('model={experts="moe",moe={dense_blocks=99}}', "model.moe.dense_blocks", 99),
        ("evaluation.planner={samples=4,elites=5}", "evaluation.planner.elites", 5),
        ("evaluation.planner.cost=lpips", "evaluation.planner.cost", "lpips"),
        ("stream.sources.books.weight=-1", "stream.sources.books.weight", -1),
        ("stream.sources.books.path=", "stream.sources.books.path", None),
        ("stream.sources={}", "stream.sources", None),
        ("training.steps=60", "training.schedule.warmup_steps", 60),
        ("objective.router_z_weight=1.0", "objective.router_z_weight", 1.0),
        ("model.shortcut_steps=12", "model.shortcut_steps", 12),
    ],
)
def test_mistakes_carry_their_setting(
    small: Path, override: str, setting: str, value: object
) -> None:
    with pytest.raises(UserError) as caught:
        load_recipe(small, [override])
    [error] = caught.value.errors
    assert (error.setting, error.value) == (setting, value)
    assert setting in names(load_recipe(small))
    assert error.remedy or ": should be" in str(error)


def test_a_source_is_added_with_its_kind(small: Path) -> None:
    added = ["stream.sources.more.path=mine", "stream.sources.more.kind=text"]
    assert list(load_recipe(small, added).stream.sources) == ["books", "more"]
    with pytest.raises(UserError, match="there is no book in stream"):
        load_recipe(small, {"stream.sources.book.path": "mine"})


def test_several_mistakes_are_told_at_once(small: Path) -> None:
    with pytest.raises(UserError) as caught:
        load_recipe(small, ["model.widht=9", "training.steps=0"])
    assert [error.setting for error in caught.value.errors] == ["model.widht", "training.steps"]
    assert str(caught.value) == "\n".join(map(str, caught.value.errors))


@pytest.mark.parametrize("table", ["objective", "objective.streams.image"])
def test_what_says_nothing_of_a_step_from_noise_takes_no_long_ones(small: Path, table: str) -> None:
    given = [f"{table}.prediction=epsilon"]
    assert load_recipe(small, given)
    with pytest.raises(UserError, match=f"{table}.prediction = .*model.shortcut_steps = 8 asks"):
        load_recipe(small, [*given, "model.shortcut_steps=8"])


def test_missing_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        load_recipe(tmp_path / "none.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("name = ")
    with pytest.raises(UserError, match="cannot be read"):
        load_recipe(broken)
    with pytest.raises(UserError, match=r"^stream is missing"):
        parse_recipe({"name": "no stream"})
    with pytest.raises(UserError, match=r"stream\.sources is empty"):
        parse_recipe({"name": "no sources", "stream": {"sources": {}}})


def test_resolved_recipe_reads_back(small: Path, tmp_path: Path) -> None:
    recipe = load_recipe(small, ["model.head_width=32"])
    write_recipe(recipe, tmp_path / "resolved.toml")
    assert load_recipe(tmp_path / "resolved.toml") == recipe
    assert differences(load_toml(tmp_path / "resolved.toml"), resolved(recipe)) == []


@pytest.mark.slow
@given(st.text(min_size=1), st.text(), st.floats(min_value=1e-300, allow_infinity=False))
def test_any_name_reads_back(
    tmp_path_factory: pytest.TempPathFactory, source: str, path: str, weight: float
) -> None:
    books = {"kind": "text", "path": f"a{path}", "weight": weight}
    recipe = parse_recipe({"name": source, "stream": {"sources": {source: books}}})
    file = tmp_path_factory.mktemp("recipe") / "resolved.toml"
    write_recipe(recipe, file)
    assert load_recipe(file) == recipe


def test_differences_name_settings(small: Path) -> None:
    there = resolved(load_recipe(small))
    here = resolved(load_recipe(small, ["model.head_width=32", "seed=4"]))
    assert differences(there, here) == [
        "seed = 0 there, 4 here",
        "model.head_width = unset there, 32 here",
    ]


def test_a_table_of_several_kinds_is_named_as_it_is_written() -> None:
    content = {"name": "mine", "decoder": {"kind": "vit", "depth": 0}}
    with pytest.raises(UserError, match=r"^decoder\.depth = 0"):
        parse_settings(VisionTrainingSettings, content)
