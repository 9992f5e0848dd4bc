"""The demo page over HTTP, and its requests.

    GET  /              the page
    GET  /about         the model, what it can do, and whether walks are ready
    POST /tasks/TASK    a task of :mod:`chiasm.demo.tasks`: its events as they happen
    *    /walk/...      the walk page and its requests

A task is cancelled by closing its connection, whoever closes it: the page's button, or the tab.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from importlib.resources import files

from chiasm.demo.answers import Answers
from chiasm.demo.tasks import TASKS
from chiasm.loopback.replies import EVENTS, HTML, Refused, Reply, Route, mounted, told
from chiasm.walk import answers as walk_answers
from chiasm.walk import server as walk_server


def routes(answers: Answers, walks: Callable[[], walk_answers.Answers]) -> list[Route]:
    """Returns the routes of the page; ``walks`` returns the answers of walks, or refuses."""
    page = files("chiasm.demo").joinpath("page.html").read_bytes()

    def about() -> Reply:
        try:
            walks()
        except Refused as error:
            walk = {"why": str(error), "later": error.status == HTTPStatus.SERVICE_UNAVAILABLE}
        else:
            walk = {}
        return told(answers.about() | {"walk": walk})

    return [
        Route("GET", "/", lambda q: Reply(page, HTML)),
        Route("GET", "/about", lambda q: about()),
        Route(
            "POST",
            f"/tasks/({'|'.join(TASKS)})",
            lambda q: Reply(answers.run(q.parts[0], q.body), EVENTS),
        ),
        *mounted("/walk", walk_server.routes(walks)),
    ]
