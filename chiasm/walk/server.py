"""HTTP on this machine: the page, and its requests.

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

Every client that reaches the port can use the model. So it listens on the loopback address by
default, and requests of other sites' pages are refused: by their Origin, by the browser's
Sec-Fetch headers and, against DNS rebinding, by their Host.
"""

from __future__ import annotations

import errno
import ipaddress
import json
import re
import socket
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs, urlsplit

from chiasm.errors import UserError
from chiasm.walk.answers import Answers
from chiasm.walk.walks import OutOfStep, UnknownWalk

MOST_BODY_BYTES = 16 * 2**20
"""Largest body, a picture of 12 MB in base64."""
IDLE_SECONDS = 60.0
"""Time after which an idle connection is closed."""
POLL_SECONDS = 0.1
"""Interval at which the server checks whether to shut down."""
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self' data:; connect-src 'self'; "
        "style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_JSON, _PNG, _HTML = "application/json", "image/png", "text/html; charset=utf-8"


class Refused(UserError):
    """A refused request, and its status."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Reply:
    """The content of a reply and its media type."""

    content: bytes
    kind: str = _JSON
    file_name: str = ""
    """Name of a download; empty if it is none."""


Query = Mapping[str, list[str]]
Body = Mapping[str, Any]


class WalkServer(ThreadingHTTPServer):
    """Listens from its construction, and answers from :meth:`serve` until it is shut down.

    Args:
        address: host and port; port 0 takes a free one.

    Raises:
        UserError: the address cannot be listened on.
    """

    daemon_threads = True
    request_queue_size = 32

    answers: Answers

    def __init__(self, address: tuple[str, int]) -> None:
        self.page = files("chiasm.walk").joinpath("page.html").read_bytes()
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        try:
            super().__init__(address, Handler)
        except (OSError, OverflowError, UnicodeError) as error:
            of_host = isinstance(error, socket.gaierror | UnicodeError) or (
                isinstance(error, OSError) and error.errno == errno.EADDRNOTAVAIL
            )
            remedy = (
                "give an address of this machine as --host, such as 127.0.0.1 or 0.0.0.0"
                if of_host
                else "give another port, or 0 for a free one"
            )
            raise UserError(
                f"--host {address[0]} --port {address[1]} cannot be listened on ({error}); {remedy}"
            ) from error

    def serve(self, answers: Answers) -> None:
        """Answers requests until another thread calls ``shutdown``."""
        self.answers = answers
        self.serve_forever(POLL_SECONDS)

    @property
    def url(self) -> str:
        """Address of the page."""
        name = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{name}:{self.server_port}/"

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return ipaddress.ip_address(self._host).is_loopback

    @property
    def _host(self) -> str:
        return str(self.socket.getsockname()[0])


class Handler(BaseHTTPRequestHandler):
    """Handler of one connection."""

    server: WalkServer
    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = (
        True  # else the second packet of a reply waits for the acknowledgement of the first
    )

    def do_GET(self) -> None:
        """Answers a request without a body, which changes nothing."""
        self._answer({})

    def do_POST(self) -> None:
        """Answers a request with a body."""
        try:
            self._refuse_strangers()
            body = self._body()
        except Refused as error:
            self.close_connection = True  # the rest of the body is not read
            self._reply(error.status, _error(error))
        else:
            self._answer(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Replies with the library's own errors in JSON, as with all others."""
        self.close_connection = True
        self._reply(HTTPStatus(code), _error(message or HTTPStatus(code).phrase))

    def log_message(self, format: str, *args: Any) -> None:
        """Ignores the message: requests are not logged."""

    def _answer(self, body: Body) -> None:
        try:
            self._refuse_strangers()
            reply = self._routed(body)
        except UserError as error:
            self._reply(_status(error), _error(error))
        except Exception:
            traceback.print_exc(file=sys.stderr)
            failed = "the server failed; its terminal says how"
            self._reply(HTTPStatus.INTERNAL_SERVER_ERROR, _error(failed))
        else:
            self._reply(HTTPStatus.OK, reply)

    def _routed(self, body: Body) -> Reply:
        if self.path == "/":
            return Reply(self.server.page, _HTML)
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        methods = []
        for method, pattern, answer in ROUTES:
            if match := re.fullmatch(pattern, parts.path):
                if method == self.command:
                    return answer(self.server.answers, match, query, body)
                methods.append(method)
        if methods:
            allowed = " or ".join(methods)
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, f"{parts.path} takes {allowed} alone")
        raise Refused(HTTPStatus.NOT_FOUND, f"there is nothing at {parts.path}")

    def _refuse_strangers(self) -> None:
        """Refuses requests of other sites' pages, and those for other names of this machine."""
        host = self.headers.get("Host", "")
        if self.server.is_local and _name_in(host) not in LOOPBACK_NAMES:
            raise Refused(HTTPStatus.FORBIDDEN, f"host {host!r} is not this machine's own")
        origin = self.headers.get("Origin")
        if origin is not None and origin != f"http://{host}":
            raise Refused(HTTPStatus.FORBIDDEN, f"requests of {origin} are refused")
        foreign = self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")
        if foreign and self.headers.get("Sec-Fetch-Mode") != "navigate":
            raise Refused(HTTPStatus.FORBIDDEN, "requests of other sites are refused")

    def _body(self) -> Body:
        if self.headers.get_content_type() != _JSON:
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"send {_JSON}")
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit():
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "send the body's Content-Length")
        if int(length) > MOST_BODY_BYTES:
            raise Refused(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"{int(length):,} bytes are too many; send {MOST_BODY_BYTES:,} at most",
            )
        try:
            body = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError) as error:
            raise Refused(HTTPStatus.BAD_REQUEST, f"the body is not JSON: {error}") from error
        if not isinstance(body, dict):
            raise Refused(HTTPStatus.BAD_REQUEST, "the body is not a JSON object; send {...}")
        return body

    def _reply(self, status: HTTPStatus, reply: Reply) -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Type", reply.kind)
            self.send_header("Content-Length", str(len(reply.content)))
            if reply.file_name:
                attached = f'attachment; filename="{reply.file_name}"'
                self.send_header("Content-Disposition", attached)
            if self.close_connection:
                self.send_header("Connection", "close")
            for name, value in HEADERS.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.content)
        except ConnectionError:  # the page was closed meanwhile
            self.close_connection = True


def _name_in(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _json(content: Mapping[str, Any]) -> Reply:
    return Reply(json.dumps(content).encode())


def _error(error: object) -> Reply:
    return _json({"error": str(error)})


def _status(error: UserError) -> HTTPStatus:
    match error:
        case Refused():
            return error.status
        case UnknownWalk():
            return HTTPStatus.NOT_FOUND
        case OutOfStep():
            return HTTPStatus.CONFLICT
    return HTTPStatus.BAD_REQUEST


def _first(query: Query) -> int:
    text = query.get("from", ["0"])[0]
    if not text.isascii() or not text.isdigit():
        raise UserError(f"from={text}: give a number from 0 on")
    return int(text)


def _truth(query: Query) -> bool:
    return query.get("truth", ["0"])[0] == "1"


Answer = Callable[[Answers, re.Match[str], Query, Body], Reply]
_WALK = r"/walks/([\w-]+)"
ROUTES: list[tuple[str, str, Answer]] = [
    ("GET", "/about", lambda a, m, q, b: _json(a.about())),
    ("GET", "/starts", lambda a, m, q, b: _json(a.starts(_first(q)))),
    ("GET", r"/starts/([0-9]{1,9})\.png", lambda a, m, q, b: Reply(a.start_view(int(m[1])), _PNG)),
    ("POST", "/walks", lambda a, m, q, b: _json(a.begin(b))),
    ("GET", _WALK, lambda a, m, q, b: _json(a.walk(m[1], truth=_truth(q)))),
    ("POST", _WALK + "/steps", lambda a, m, q, b: _json(a.step(m[1], b))),
    ("POST", _WALK + "/keep", lambda a, m, q, b: _json(a.keep(m[1], b))),
    (
        "GET",
        _WALK + r"/sheet\.png",
        lambda a, m, q, b: Reply(a.sheet(m[1], truth=_truth(q)), _PNG, "walk.png"),
    ),
    (
        "GET",
        _WALK + r"/walk\.json",
        lambda a, m, q, b: Reply(json.dumps(a.saved(m[1]), indent=1).encode(), _JSON, "walk.json"),
    ),
]
