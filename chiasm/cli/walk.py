"""``chiasm walk``: a local page on which a model's imagination is walked through by keyboard."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chiasm.cli.choice import FIRST, Choice
from chiasm.cli.options import Cache, Device, Trained, only, with_settings
from chiasm.inference.request import IMAGINING, SamplingSettings
from chiasm.shipped import MODELS

if TYPE_CHECKING:
    from chiasm.cli.starts import WalkedRun
    from chiasm.inference.sampler import Generating
    from chiasm.loopback.server import LoopbackServer
    from chiasm.walk.answers import Answers

Port = Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")]
Host = Annotated[
    str, typer.Option(help="Address to listen at; this one is for this machine alone.")
]


@with_settings
def walk(
    run: Trained = MODELS[0],
    port: Port = 8000,
    host: Host = "127.0.0.1",
    truth: Annotated[
        bool, typer.Option("--truth", help="Show the true view beside, of an embedded world.")
    ] = False,
    choice: Choice = FIRST,
    sampling: Annotated[
        SamplingSettings, only("inner_guidance", "history_noise", steps="solver_steps")
    ] = IMAGINING,
    device: Device = "auto",
    cache: Cache = None,
) -> None:
    """Serve a page on which W, A, S, D and words drive the model's imagination, view by view.

    Without RUN, with the small model that the package carries.

    Examples:

      chiasm walk

      chiasm walk RUN

      chiasm walk RUN --map 3 --view 12 --truth

      chiasm walk RUN --image room.jpg --solver-steps 10
    """
    # With torch, which a mistyped option need not wait for.
    from chiasm.cli.starts import WalkedRun
    from chiasm.walk.server import WalkServer

    # The server listens already: an address in use is an error before anything is opened.
    with WalkServer((host, port)) as server, ExitStack() as running:
        walked = WalkedRun(run, device, choice)
        answers = open_walks(walked, sampling, cache, running, truth=truth)
        serve("walk", server, lambda: server.serve(answers))


def open_walks(
    walked: WalkedRun,
    sampling: SamplingSettings,
    cache: Path | None,
    running: ExitStack,
    *,
    truth: bool = False,
    engine: Generating | None = None,
) -> Answers:
    """Returns the answers of a run's walk page.

    Args:
        walked: the run.
        sampling: how views are imagined.
        cache: folder of rendered worlds.
        running: closes the engine of true views.
        truth: whether true views are shown from the beginning.
        engine: what runs the model for all pages; None: the walks' own thread.

    Raises:
        UserError: the model was trained without actions, or a chosen start does not exist.
    """
    from chiasm.cli.starts import open_oracle
    from chiasm.walk.answers import Answers, Opening
    from chiasm.walk.truth import Truth
    from chiasm.walk.walker import Walker
    from chiasm.worldmodel.rollout import Rollouts

    model, oracle = walked.pretrained, None
    Rollouts.of(model, sampling)  # refuses a model without actions, before views are rendered
    starts, start = walked.starts(cache, only_chosen=False)
    if starts.rendered is not None:
        oracle = Truth(running.enter_context(open_oracle(starts.rendered, model)))
    opening = Opening(walked.name, start, truth, walked.instructed, walked.known)
    return Answers(Walker(model, sampling, oracle, engine), starts, opening)


def serve(page: str, server: LoopbackServer, answer: Callable[[], None]) -> None:
    """Serves until Ctrl-C, or SIGTERM, which ends it likewise: the engine has files to remove."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    typer.echo(f"{page} at {server.url} (Ctrl+C ends it)")
    if not server.is_local:
        typer.echo("whoever reaches this address can use the model, and send it pictures", err=True)
    try:
        answer()
    except KeyboardInterrupt:
        typer.echo("")
