"""``chiasm demo``: a local page to write, draw, ask, go on and walk with a trained model."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Annotated

import typer

from chiasm.cli.choice import FIRST
from chiasm.cli.options import Cache, Device, Trained
from chiasm.cli.walk import Host, Port, open_walks, serve
from chiasm.inference.request import IMAGINING
from chiasm.shipped import MODELS


def demo(
    run: Trained = MODELS[0],
    port: Port = 8000,
    host: Host = "127.0.0.1",
    rows: Annotated[
        int, typer.Option(min=1, max=256, help="Samples that run at once; others wait.")
    ] = 16,
    device: Device = "auto",
    cache: Cache = None,
) -> None:
    """Serve a page on which to write, draw, ask, go on and walk with a trained model.

    Without RUN, with the small model that the package carries.

    Examples:

      chiasm demo

      chiasm demo RUN

      chiasm demo RUN --port 0 --rows 4
    """
    # With torch, which a mistyped option need not wait for.
    from chiasm.cli.starts import WalkedRun
    from chiasm.demo.answers import Answers
    from chiasm.demo.engine import Engine
    from chiasm.demo.server import routes
    from chiasm.demo.walks import LaterWalks
    from chiasm.loopback.server import LoopbackServer

    # The server listens already: an address in use is an error before anything is opened.
    with LoopbackServer((host, port)) as server, ExitStack() as running:
        walked = WalkedRun(run, device, FIRST)
        engine = running.enter_context(Engine(walked.pretrained, rows))
        walks = LaterWalks(lambda: open_walks(walked, IMAGINING, cache, running, engine=engine))
        answers = Answers(engine, walked.name, walked.prompts)
        serve("demo", server, lambda: server.serve_routes(routes(answers, walks)))
