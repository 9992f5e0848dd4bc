"""``chiasm walk``: a local page on which a model's imagination is walked through by keyboard."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from chiasm.cli.starts import Choice, open_starts, open_truth
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import SamplingSettings
from chiasm.walk.answers import Answers, Opening
from chiasm.walk.server import WalkServer
from chiasm.walk.walker import Walker
from chiasm.worldmodel.rollout import Rollouts

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
    choice = Choice.of(map_, view, image)
    # The server listens already: an address in use is an error before anything is opened.
    with WalkServer((host, port)) as server, ExitStack() as running:
        pretrained = Pretrained.load(run, device)
        sampling = DEFAULTS.model_copy(update={"steps": steps})
        Rollouts.of(pretrained, sampling)  # refuses a model without actions
        opened = open_starts(run, pretrained, choice, cache, only_chosen=False)
        title = Path(run).resolve().name
        opening = Opening(title, opened.start, truth, opened.instructed)
        source = opened.starts.rendered
        engine = open_truth(running, source, pretrained) if source is not None else None
        walker = Walker(pretrained, sampling, engine)
        serve(server, Answers(walker, opened.starts, opening))


def serve(server: WalkServer, answers: Answers) -> None:
    """Serves until Ctrl-C, or SIGTERM, which ends it likewise: the engine has files to remove."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    typer.echo(f"walk at {server.url} (Ctrl+C ends it)")
    if not server.is_local:
        typer.echo("whoever reaches this address can use the model, and send it pictures", err=True)
    try:
        server.serve(answers)
    except KeyboardInterrupt:
        typer.echo("")
