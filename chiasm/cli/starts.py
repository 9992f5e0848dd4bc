"""Where a walk through a model's imagination begins: options that several verbs read."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from chiasm.actions import Action
from chiasm.assembly import open_held_out_walks
from chiasm.cli.progress import RunDisplay
from chiasm.documents import ActionVideos
from chiasm.errors import UserError
from chiasm.inference.pretrained import Pretrained
from chiasm.recipe import Recipe, load_recipe
from chiasm.walk.starts import Start, Starts
from chiasm.walk.truth import Truth
from chiasm.worldmodel.oracle import Oracle
from chiasm.worlds import World
from chiasm.worlds.instructions import INSTRUCTIONS


def read_picture(map_: int | None, view: int | None, image: Path | None) -> bytes | None:
    """The content of ``--image``, where that is the start.

    Raises:
        UserError: two starts, a view without its map, or a file that cannot be read.
    """
    for option, value in (("--map", map_), ("--view", view)):
        if value is not None and image is not None:
            raise UserError(f"{option} {value} and --image {image} are two starts; give one")
    if view is not None and map_ is None:
        raise UserError(f"--view {view} is a view of a map; give its --map too")
    if image is None:
        return None
    try:
        return image.read_bytes()
    except OSError as error:
        raise UserError(f"--image {image} cannot be read: {error.strerror}") from error


def recipe_of(run: str) -> Recipe | None:
    """The run's recipe; a saved model alone has none."""
    path = Path(run) / "recipe.toml"
    return load_recipe(path) if path.is_file() else None


def held_out_walks(
    recipe: Recipe | None, cache: Path | None
) -> tuple[World | None, dict[str, ActionVideos]]:
    """The held-out maps and recorded walks of a run; a saved model alone has none."""
    if recipe is None:
        return None, {}
    with RunDisplay() as display:
        return open_held_out_walks(recipe, cache, display.on_stage)


def choose_start(starts: Starts, map_: int | None, view: int) -> Start | None:
    """The one that is asked for, else the first, if there are any."""
    if map_ is not None:
        return starts.at(map_, view)
    return starts[0] if len(starts) else None


def open_truth(running: ExitStack, world: World, pretrained: Pretrained) -> Truth:
    """The engine of the world, for as long as ``running`` lasts."""
    shape = pretrained.vision_tokenizer.image_shape
    oracle = Oracle(world.settings, world.split, pretrained.actions, shape)
    return Truth(running.enter_context(oracle), pretrained.actions.write(Action(0, 0, 0)))


def is_instructed(recipe: Recipe | None) -> bool | None:
    """Whether the run was trained on spoken instructions; unknown without its recipe."""
    if recipe is None:
        return None
    return any(source.task == INSTRUCTIONS for source in recipe.stream.sources.values())
