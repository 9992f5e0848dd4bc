"""``chiasm walk``: a local page on which a model's imagination is walked through by keyboard."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from chiasm.actions import Action
from chiasm.assembly import open_held_out_walks
from chiasm.cli.progress import RunDisplay
from chiasm.documents import ActionVideos
from chiasm.errors import UserError
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import SamplingSettings
from chiasm.recipe import Recipe, load_recipe
from chiasm.walk.answers import Answers, Opening
from chiasm.walk.server import WalkServer
from chiasm.walk.starts import Start, Starts, given_picture
from chiasm.walk.truth import Truth
from chiasm.walk.walker import Walker
from chiasm.worldmodel.oracle import Oracle
from chiasm.worlds import World
from chiasm.worlds.instructions import INSTRUCTIONS

DEFAULTS = SamplingSettings(guidance=1.0)


def walk(
    run: Annotated[str, typer.Argument(help="a run, a saved model, or a hub id owner/name")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one")] = 8000,
    host: Annotated[str, typer.Option(help="who may reach it; this machine alone")] = "127.0.0.1",
    truth: Annotated[bool, typer.Option("--truth", help="show the engine's true view")] = False,
    map_: Annotated[
        int | None, typer.Option("--map", min=0, help="begin on this held-out map")
    ] = None,
    view: Annotated[int | None, typer.Option(min=0, help="and with this view of it")] = None,
    image: Annotated[Path | None, typer.Option(help="begin with a picture file")] = None,
    steps: Annotated[int, typer.Option(min=1, help="of the solver")] = DEFAULTS.steps,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto")] = "auto",
    cache: Annotated[
        Path | None, typer.Option(help="Where rendered worlds are kept.", envvar="CHIASM_CACHE")
    ] = None,
) -> None:
    """Serve a page on which W, A, S, D and words drive the model's imagination, view by view.

    Examples:

      chiasm walk RUN

      chiasm walk RUN --map 3 --view 12 --truth

      chiasm walk RUN --image room.jpg --steps 10
    """
    encoded = _read(map_, view, image)
    pretrained = Pretrained.load(run, device)
    sampling = DEFAULTS.model_copy(update={"steps": steps})
    Walker(pretrained, sampling)  # a model without actions is refused before a world is rendered
    shape = pretrained.vision_tokenizer.image_shape
    picture = None if encoded is None else given_picture(encoded, shape, str(image))
    recipe = _recipe(run)
    world, recorded = _held_out_walks(recipe, cache)
    starts = Starts(shape, world, recorded)
    start = picture or _start(starts, map_, view or 0)
    opening = Opening(Path(run).resolve().name, start, truth, _instructed(recipe))
    with ExitStack() as running:
        engine = None
        if world is not None:
            oracle = Oracle(world.settings, world.split, pretrained.actions, shape)
            standing = pretrained.actions.write(Action(0, 0, 0))
            engine = Truth(running.enter_context(oracle), standing)
        walker = Walker(pretrained, sampling, engine)
        serve(WalkServer((host, port), Answers(walker, starts, opening)))


def serve(server: WalkServer) -> None:
    """Until the user interrupts it."""
    typer.echo(f"walk at {server.url} (Ctrl+C ends it)")
    if not server.is_local:
        typer.echo("whoever reaches this address can use the model, and send it pictures", err=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        typer.echo("")
    finally:
        server.server_close()


def _read(map_: int | None, view: int | None, image: Path | None) -> bytes | None:
    """The picture file's content."""
    if view is not None and map_ is None:
        raise UserError(f"--view {view} is a view of a map; give its --map too")
    if image is None:
        return None
    if map_ is not None:
        raise UserError(f"--map {map_} and --image {image} are two starts; give one")
    try:
        return image.read_bytes()
    except OSError as error:
        raise UserError(f"--image {image} cannot be read: {error.strerror}") from error


def _recipe(run: str) -> Recipe | None:
    """The run's recipe; a saved model alone has none."""
    path = Path(run) / "recipe.toml"
    return load_recipe(path) if path.is_file() else None


def _held_out_walks(
    recipe: Recipe | None, cache: Path | None
) -> tuple[World | None, dict[str, ActionVideos]]:
    """The held-out maps and recorded walks of a run; a saved model alone has none."""
    if recipe is None:
        return None, {}
    with RunDisplay() as display:
        return open_held_out_walks(recipe, cache, display.on_stage)


def _start(starts: Starts, map_: int | None, view: int) -> Start | None:
    """The one that is asked for, else the first, if there are any."""
    if map_ is not None:
        return starts.at(map_, view)
    return starts[0] if len(starts) else None


def _instructed(recipe: Recipe | None) -> bool | None:
    if recipe is None:
        return None
    return any(source.task == INSTRUCTIONS for source in recipe.stream.sources.values())
