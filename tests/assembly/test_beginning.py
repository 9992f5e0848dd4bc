"""Runs that begin with a trained model, or go on from another run's checkpoint."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from chiasm.assembly import train_run
from chiasm.errors import UserError
from chiasm.inference.pretrained import Pretrained
from chiasm.loop.metrics import read_metrics
from chiasm.recipe import load_recipe

pytestmark = pytest.mark.slow

LONG = (
    *("training.steps=12", "training.checkpoint_every_steps=4", "training.keep_checkpoints=3"),
    *("training.schedule.shape=wsd", "training.schedule.decay_steps=4", "training.ema_decay=0.9"),
)

SEEN = "streams.seen={kind='pixels', image_pixels=8, patch_pixels=4, context_of='image'}"

Train = Callable[..., Path]


@pytest.fixture(scope="module")
def train(tiny_recipe: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Train:
    folder = tmp_path_factory.mktemp("beginning")

    def train(name: str, *settings: str, tell: Callable[[str], None] = lambda line: None) -> Path:
        recipe = load_recipe(tiny_recipe(folder / f"{name}.toml", *settings))
        train_run(recipe, folder / name, tell=tell)
        return folder / name

    return train


@pytest.fixture(scope="module")
def long(train: Train) -> Path:
    return train("long", *LONG)


def branch(long: Path, *settings: str) -> list[str]:
    return [*LONG, f"initialize.branch={long}", *settings]


def test_a_branch_is_the_run_that_was_shorter_from_its_first_step(long: Path, train: Train) -> None:
    shorter = "training.steps=8"
    told: list[str] = []
    settings = branch(long, "initialize.branch_step=4", shorter)
    branched = train("branched", *settings, tell=told.append)
    whole = train("shorter", *LONG, shorter)
    assert "going on from step 4 of 8" in told
    assert any(line.startswith("a branch: training.steps = 12 there, 8 here") for line in told)
    found, expected = (
        [line for line in read_metrics(each / "metrics.jsonl") if line["phase"] == "train"]
        for each in (branched, whole)
    )
    assert found == expected
    models = [Pretrained.load(each).decoder.parameters() for each in (branched, whole)]
    for mine, theirs in zip(*models, strict=True):
        assert torch.equal(mine, theirs)
    assert sorted(path.name for path in (long / "checkpoints").iterdir()) == [
        f"step-{step:07d}" for step in (4, 8, 12)
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["initialize.branch_step=5"], "branch_step = 5 is no checkpoint of .* are: 4, 8, 12"),
        (["training.steps=12"], "training.steps = 12 leaves nothing to do after the 12 steps"),
        (["training.steps=13", "model.depth=2"], "(?s)branch.*model.depth = 1 there, 2 here"),
        (["training.steps=13", "stream.batch_size=4"], "(?s)stream.batch_size = 2 there, 4 here"),
    ],
)
def test_a_branch_that_does_not_fit_is_refused(
    long: Path, train: Train, settings: list[str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        train(f"refused-{abs(hash(message))}", *branch(long, *settings))


def test_the_weights_of_a_model_are_taken_and_what_is_frozen_stays(
    long: Path, train: Train
) -> None:
    told: list[str] = []
    tuned = train(
        "tuned",
        f"initialize.model={long}",
        "training.frozen=['blocks.*', 'token_embedding']",
        tell=told.append,
    )
    before, after = (
        dict(Pretrained.load(each).decoder.named_parameters()) for each in (long, tuned)
    )
    for name, weight in before.items():
        frozen = name.startswith(("blocks.", "token_embedding"))
        assert torch.equal(after[name], weight) == frozen, name
    first, then = (read_metrics(each / "metrics.jsonl")[0]["loss"] for each in (long, tuned))
    assert then < first
    tokenizers = [Pretrained.load(each).text_tokenizer.fingerprint for each in (long, tuned)]
    assert tokenizers[0] == tokenizers[1]


def test_a_trained_model_learns_shortcuts(long: Path, train: Train) -> None:
    """It begins with what it can, all steps alike; every fourth batch tells them apart."""
    told: list[str] = []
    settings = f"initialize.model={long}", "model.shortcut_steps=4", "training.steps=12"
    short = train("short", *settings, tell=told.append)
    new = "step_embedding.hidden.weight, step_embedding.out.weight"
    assert f"initialize.model: it begins with first weights of {new}" in told
    lines = [line for line in read_metrics(short / "metrics.jsonl") if line["phase"] == "train"]
    taught = [n for n, line in enumerate(lines) if "flow_loss_by_time/shortcuts" in line]
    assert taught
    assert {0, 4, 8}.issuperset(taught)
    assert Pretrained.load(short).decoder.step_embedding.out.weight.any()


def test_a_further_stream_gets_rows_and_layers_of_its_own(long: Path, train: Train) -> None:
    told: list[str] = []
    more = train(
        "more",
        f"initialize.model={long}",
        "streams.image.image_pixels=16",
        SEEN,
        "training.steps=4",
        tell=told.append,
    )
    assert any("streams.image has another tokenizer" in line for line in told)
    line = next(line for line in told if line.startswith("initialize.model: it begins with first"))
    assert "latent_embedding.seen.weight" in line
    assert Pretrained.load(more).decoder.shapes["image"].grid == (4, 4)


def test_pictures_may_keep_their_shapes_from_then_on(long: Path, train: Train) -> None:
    """Places that squares never had begin with first weights, and not with nothing."""
    native = "{kind='pixels', image_pixels=40, patch_pixels=4, shape='native'}"
    begin = [f"initialize.model={long}"]
    settings = (f"streams.image={native}", "stream.sequence_length=128", "training.steps=4")
    both = [train(name, *settings, *given) for name, given in (("new", []), ("further", begin))]
    rows = [Pretrained.load(each).decoder.place_embedding["image"].row for each in both]
    assert len(rows[0]) == 100
    torch.testing.assert_close(rows[0][64:], rows[1][64:])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["model.width=32", "model.key_value_heads=2"],
            "trained with model.width = 16, model.key_value_heads = 1, model.head_width = 8, model",
        ),
        (["streams.image.patch_pixels=2"], r"initialize.model has .* and this model one of"),
        (["objective.prediction='v'"], "trained with objective.prediction = 'x', and this recipe"),
        (["training.frozen=['block.*']"], "training.frozen = 'block.*' matches no parameter; one"),
        (["training.frozen=['*']"], "leaves nothing to train"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(
    long: Path, train: Train, settings: list[str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        train(f"refused-{abs(hash(message))}", f"initialize.model={long}", *settings)
