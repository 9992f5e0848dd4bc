"""``chiasm imagine``: files from scripts, true views beside them, and what is refused."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image as PillowImage
from typer.testing import CliRunner, Result

from chiasm.cli.imagine import imagine
from chiasm.cli.starts import true_views
from chiasm.documents import Split
from chiasm.errors import UserError
from chiasm.inference.request import SamplingSettings
from chiasm.inference.sampler import Sampler
from chiasm.inference.walks import WalkDocuments
from chiasm.walk.scripts import read_script
from chiasm.walk.starts import Starts, given_picture
from chiasm.worldmodel.direct import DirectViews
from chiasm.worldmodel.rollout import Context, Rollouts
from chiasm.worlds.render import render_worlds
from chiasm.worlds.settings import WorldSettings
from chiasm.worlds.sources import WorldSource

WORLD = """
[world]
train_maps = 1
held_out_maps = 1
views_per_map = 3
walks_per_map = 1
frames_per_walk = 5
image_pixels = 16
[stream.sources]
walks = { kind = "world", task = "action_video" }
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def run(world_model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    replace(world_model, walks=WalkDocuments(views=2)).save(folder / "model")
    (folder / "recipe.toml").write_text('name = "small"\n' + WORLD)
    return folder


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "room.png"
    colours = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)
    PillowImage.fromarray(colours).save(path)
    return path


def invoke(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(imagine)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refusal(*arguments: object) -> str:
    result = invoke(*arguments)
    assert isinstance(result.exception, UserError), result.output
    return str(result.exception)


def frame(path: Path) -> np.ndarray:
    with PillowImage.open(path) as opened:
        return np.array(opened)


@pytest.mark.slow
def test_frames_are_those_of_a_rollout_and_scripts_share_their_noise(
    run: Path, world_model, picture: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "imagined"
    result = invoke(
        *(run, "--image", picture, "--out", out, "--seed", 3, "--solver-steps", 2),
        *("--actions", "W A", "--actions", "dx=1 dy=0 dyaw=0; D; -", "--instruction", "turn left"),
        *("--views", 2),
    )
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[1:] == [
        str(out / name) for name in ("sheet.png", "walk.gif", "frames")
    ]
    names = [path.name for path in sorted((out / "frames").iterdir())]
    assert names == [
        f"{n}-{s:02d}.png" for n, last in ((1, 2), (2, 3), (3, 2)) for s in range(1, last + 1)
    ]
    assert "trained on numeric actions alone" in result.stderr
    ahead = frame(out / "frames" / "1-01.png")
    assert np.array_equal(ahead, frame(out / "frames" / "2-01.png")), "W is a metre ahead"
    assert not np.array_equal(
        frame(out / "frames" / "1-02.png"), frame(out / "frames" / "2-02.png")
    )
    start = given_picture(picture.read_bytes(), world_model.vision_tokenizer.image_shape, "room")
    rollouts = Rollouts(Sampler(world_model), SamplingSettings(steps=2, guidance=1))
    steps = [world_model.actions.write(world_model.actions.read(key)) for key in "WA"]
    [views] = rollouts.imagine([Context((start.view,))], [steps], seed=3)
    for step, view in enumerate(views, start=1):
        written = frame(out / "frames" / f"1-{step:02d}.png")
        np.testing.assert_allclose(written.astype(int), view.astype(int), atol=1)
    with PillowImage.open(out / "walk.gif") as walk:
        assert walk.n_frames == 4, "the start and three steps"


def test_views_may_be_imagined_at_once_from_the_start(
    world_model, picture: Path, tmp_path: Path
) -> None:
    model = replace(world_model, walks=WalkDocuments(views=2, horizon_frames=(1, 2)))
    model.save(tmp_path / "model")
    script = (tmp_path / "model", "--image", picture, "--solver-steps", 2, "--direct")
    moving = tmp_path / "walk.webp"
    result = invoke(
        *(*script, "--actions", "W A", "--out", tmp_path / "out", "--seed", 3),
        *("--animation", moving),
    )
    assert result.exit_code == 0, result.output
    start = given_picture(picture.read_bytes(), model.vision_tokenizer.image_shape, "room")
    steps = [model.actions.write(model.actions.read(key)) for key in "WA"]
    direct = DirectViews(model, SamplingSettings(steps=2, guidance=1))
    [views] = direct.imagine([Context((start.view,))], [steps], seed=3)
    for step, view in enumerate(views, start=1):
        np.testing.assert_array_equal(
            frame(tmp_path / "out" / "frames" / f"1-{step:02d}.png"), view
        )
    assert str(moving) in result.stdout
    with PillowImage.open(moving) as walk:
        assert (walk.format, walk.n_frames) == ("WEBP", 3)
    message = refusal(*script, "--actions", "W A D", "--out", tmp_path / "far")
    assert "3 actions lead 3 frames ahead" in message
    assert not (tmp_path / "far").exists()


@pytest.mark.slow
def test_true_views_are_the_walks_own_where_it_is_walked_again(world_model, cache: Path) -> None:
    settings = WorldSettings(
        train_maps=1,
        held_out_maps=1,
        views_per_map=3,
        walks_per_map=1,
        frames_per_walk=5,
        image_pixels=16,
    )
    world = render_worlds(settings, Split.HELD_OUT, cache, num_processes=1)
    shape = world_model.vision_tokenizer.image_shape
    source = WorldSource(world, "action_video")
    starts = Starts(shape, {"maps": source})
    start = starts.at(0, 3)  # the walk's first frame
    steps = [world.step(a, a + 1).action for a in range(3, 7)]
    written = "; ".join(world_model.actions.write(step) for step in steps)
    numeric = read_script(written, world_model)
    [walk] = true_views(world_model, source, start, [numeric])
    assert walk is not None
    assert not any(walk.blocked)
    for number, view in enumerate(walk.views):
        again = starts.at(0, 4 + number).view
        assert np.abs(view.astype(int) - again).mean() < 12, "poses are written with few decimals"
    [stopped] = true_views(world_model, source, start, [read_script("W " * 30, world_model)])
    assert stopped is not None
    assert not stopped.blocked[0]
    assert stopped.blocked[-1], "no room is 30 m long"
    from_nowhere = replace(start, place=None)
    assert true_views(world_model, source, from_nowhere, [numeric]) == [None]


@pytest.mark.slow
def test_a_start_of_the_world_has_true_views_below(run: Path, cache: Path, tmp_path: Path) -> None:
    arguments = (run, "--map", 0, "--view", 1, "--actions", "W A", "--solver-steps", 1)
    result = invoke(*arguments, "--cache", cache, "--out", tmp_path / "a")
    assert result.exit_code == 0, result.output
    assert "from map 0, view 1" in result.stdout
    assert "there are 1 held-out maps" in refusal(
        run, "--map", 4, "--actions", "W", "--cache", cache, "--out", tmp_path / "b"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "nothing to imagine"),
        (("--actions", "W", "--guidance", 0.5), "--guidance 0.5: give a number ≥ 1.0 and ≤ 20.0"),
        (("--actions", "W", "--guidance", 21), "--guidance 21: give a number ≥ 1.0 and ≤ 20.0"),
        (("--actions", "W", "--guidance", "nan"), "--guidance nan: give a number ≥ 1.0 and ≤ 20.0"),
        (("--actions", "W jump"), "--actions: step 2 of 2: 'jump' is neither keys"),
        (("--actions", "go to the torch"), "step 1 of 4: 'go' is neither keys"),
        (("--actions", "W; dx=1 dy=0"), "step 2 of 2: action 'dx=1 dy=0' cannot be read (dyaw w"),
        (("--actions", "dx=1 dy=0 dyaw=0 rel_t=4"), "rel_t leads 4 frames on, and training showed"),
        (("--actions", "W sW"), "step 2 of 2: sW: W and S cancel each other"),
        (("--actions", "W " * 41), "--actions: 41 steps are too many; give 40"),
        (("--actions", "W", "--views", 4), "--views 4 is of an --instruction"),
        (("--instruction", "  "), "--instruction: the instruction is empty"),
        (("--view", 1, "--actions", "W"), "--view 1 and --image"),
        (("--actions", "dx=1 dy=nan dyaw=0"), "cannot be read"),
        (("--actions", "dx=5000 dy=0 dyaw=0"), "5000 metres is too far"),
        (("--actions", " ; "), "has no steps"),
        (("--actions", "W", "--animation", "walk.mp4"), "walk.mp4 is none of .webp, .png, .gif"),
        (("--instruction", "W"), "which are actions, and no instruction"),
        (("--instruction", "go on " * 20, "--views", 9), "over 9 views: the prompt of the request"),
        (("--instruction", "go on " * 20, "--views", 9), "context holds 400"),
        (("--instruction", "go on " * 20, "--views", 9), "Lower the views, or say it shorter"),
    ],
)
def test_what_cannot_be_imagined_is_told(
    run: Path, picture: Path, tmp_path: Path, arguments: tuple[object, ...], message: str
) -> None:
    out = tmp_path / "out"
    assert message in refusal(run, "--image", picture, "--out", out, *arguments)
    assert not out.exists()


def test_what_is_there_stays_and_a_model_without_actions_is_refused(
    world_model, run: Path, picture: Path, tmp_path: Path
) -> None:
    script = ("--image", picture, "--actions", "W")
    assert "give a new folder" in refusal(run, *script, "--out", tmp_path)
    still = tmp_path / "still"
    world_model.save(still)
    assert "trained without actions" in refusal(still, *script, "--out", tmp_path / "out")
    alone = shutil.copytree(run / "model", tmp_path / "alone")
    told = refusal(alone, "--actions", "W", "--out", tmp_path / "out")
    assert "has no held-out views" in told
