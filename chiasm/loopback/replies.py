"""Requests and replies of a page, and the routes between them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Protocol

from chiasm.errors import UserError

JSON, PNG, HTML = "application/json", "image/png", "text/html; charset=utf-8"
EVENTS = "text/event-stream"


class Refused(UserError):
    """A refused request, and its status."""

    def __init__(self, message: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(message)
        self.status = status


class Told(Protocol):
    """Events as they happen; None several times a second while there are none."""

    def __iter__(self) -> Iterator[Mapping[str, Any] | None]: ...

    def close(self) -> None:
        """Ends them, also before the first: the client is gone, or has all of them."""


@dataclass(frozen=True)
class Reply:
    """The content of a reply and its media type; events are sent as they happen."""

    content: bytes | Told
    kind: str = JSON
    file_name: str = ""
    """Name of a download; empty if it is none."""


Query = Mapping[str, list[str]]
Body = Mapping[str, Any]


@dataclass(frozen=True)
class Asked:
    """A request behind its route."""

    parts: tuple[str, ...]
    """Groups of the route's pattern."""
    query: Query
    body: Body


@dataclass(frozen=True)
class Route:
    """What is answered to a method at the paths of a pattern."""

    method: str
    pattern: str
    answer: Callable[[Asked], Reply]


def told(content: Mapping[str, Any]) -> Reply:
    """Returns a reply in JSON."""
    return Reply(json.dumps(content).encode())


def mounted(prefix: str, routes: Sequence[Route]) -> list[Route]:
    """Returns routes below a path, such as ``/walk``."""
    return [replace(route, pattern=re.escape(prefix) + route.pattern) for route in routes]
