"""The walk page over HTTP, and its requests.

GET  /                            the page
GET  /about                       the run, and what it can do
GET  /starts?from=0               names of some starts, from there on
GET  /starts/NUMBER.png           the view of one
POST /walks                       begin: {start} or {picture}
GET  /walks/WALK                  all frames
POST /walks/WALK/steps            the next frame: {typed, after, seed, guidance, ...}
POST /walks/WALK/keep             take frames back: {count, after}
GET  /walks/WALK/sheet.png        contact sheet
GET  /walks/WALK/walk.json        the walk with its pictures
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from importlib.resources import files

from chiasm.errors import UserError
from chiasm.loopback.replies import HTML, JSON, PNG, Asked, Query, Reply, Route, told
from chiasm.loopback.server import LoopbackServer
from chiasm.walk.answers import Answers


class WalkServer(LoopbackServer):
    """Listens from its construction, and answers from :meth:`serve` until it is shut down."""

    def serve(self, answers: Answers) -> None:
        """Answers requests until another thread calls ``shutdown``."""
        self.serve_routes(routes(lambda: answers))


def routes(opened: Callable[[], Answers]) -> list[Route]:
    """Returns the routes of the page; ``opened`` returns its answers, or refuses."""
    page = files("chiasm.walk").joinpath("page.html").read_bytes()

    def sheet(asked: Asked) -> Reply:
        content = opened().sheet(asked.parts[0], truth=_truth(asked.query))
        return Reply(content, PNG, "walk.png")

    def saved(asked: Asked) -> Reply:
        content = json.dumps(opened().saved(asked.parts[0]), indent=1)
        return Reply(content.encode(), JSON, "walk.json")

    walk = r"/walks/([\w-]+)"
    return [
        Route("GET", "/", lambda q: Reply(page, HTML)),
        Route("GET", "/about", lambda q: told(opened().about())),
        Route("GET", "/starts", lambda q: told(opened().starts(_first(q.query)))),
        Route(
            "GET",
            r"/starts/([0-9]{1,9})\.png",
            lambda q: Reply(opened().start_view(int(q.parts[0])), PNG),
        ),
        Route("POST", "/walks", lambda q: told(opened().begin(q.body))),
        Route("GET", walk, lambda q: told(opened().walk(q.parts[0], truth=_truth(q.query)))),
        Route("POST", walk + "/steps", lambda q: told(opened().step(q.parts[0], q.body))),
        Route("POST", walk + "/keep", lambda q: told(opened().keep(q.parts[0], q.body))),
        Route("GET", walk + r"/sheet\.png", sheet),
        Route("GET", walk + r"/walk\.json", saved),
    ]


def _first(query: Query) -> int:
    text = query.get("from", ["0"])[0]
    if not re.fullmatch("[0-9]{1,9}", text):
        raise UserError(f"from={text[:20]}: give a number from 0 on")
    return int(text)


def _truth(query: Query) -> bool:
    return query.get("truth", ["0"])[0] == "1"
