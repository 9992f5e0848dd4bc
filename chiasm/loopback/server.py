"""A server of pages for this machine, with its checks and its bounds.

Every client that reaches the port can use the model. So it listens on the loopback address by
default, and requests of other sites' pages are refused: by their Origin, by the browser's
Sec-Fetch headers and, against DNS rebinding, by their Host. Nothing is read from files: a path is
only ever compared with the routes.

Bounded are connections, bodies, the time that a body takes to arrive, and how many large ones are
held at once.
"""

from __future__ import annotations

import errno
import ipaddress
import json
import re
import select
import socket
import sys
import traceback
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import BoundedSemaphore
from typing import Any
from urllib.parse import parse_qs, urlsplit

from chiasm.errors import UserError
from chiasm.loopback.bodies import BODY_SECONDS, SHOWN_CHARACTERS, body_length, read_json
from chiasm.loopback.replies import Asked, Body, Refused, Reply, Route, Told, told

MOST_CONNECTIONS = 128
"""Connections that are open at once; a further one is told so and closed."""
LARGE_BODY_BYTES = 2**18
MOST_LARGE_BODIES = 2
"""Bodies beyond LARGE_BODY_BYTES that are read and decoded at once; others wait."""
IDLE_SECONDS = 60.0
"""Time after which an idle connection is closed."""
POLL_SECONDS = 0.1
"""Interval at which the server checks whether to shut down."""
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self' data:; media-src data:; connect-src 'self'; "
        "style-src 'unsafe-inline'; script-src 'unsafe-inline'; frame-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class LoopbackServer(ThreadingHTTPServer):
    """Listens from its construction, and answers from :meth:`serve_routes` until it is shut down.

    Args:
        address: host and port; port 0 takes a free one.

    Raises:
        UserError: the address cannot be listened on.
    """

    daemon_threads = True
    request_queue_size = 128

    routes: Sequence[Route]

    def __init__(self, address: tuple[str, int]) -> None:
        self._connections = BoundedSemaphore(MOST_CONNECTIONS)
        self._large = BoundedSemaphore(MOST_LARGE_BODIES)
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

    def serve_routes(self, routes: Sequence[Route]) -> None:
        """Answers requests until another thread calls ``shutdown``."""
        self.routes = routes
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

    def turn_for(self, body_bytes: int) -> AbstractContextManager[None]:
        """Returns what is held while a body of this size is read and answered.

        Raises:
            Refused: others hold it for too long.
        """
        return self._turn() if body_bytes > LARGE_BODY_BYTES else nullcontext()

    @contextmanager
    def _turn(self) -> Generator[None, None, None]:
        if not self._large.acquire(timeout=BODY_SECONDS):
            raise Refused("other files are being read; try again", HTTPStatus.SERVICE_UNAVAILABLE)
        try:
            yield
        finally:
            self._large.release()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answers a connection in a thread of its own, if there are not too many."""
        if self._connections.acquire(blocking=False):
            super().process_request(request, client_address)
            return
        try:
            request.settimeout(POLL_SECONDS)
            request.sendall(_FULL)
        except OSError:
            pass  # it is closed either way
        self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answers a connection's requests."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Prints what failed, unless the client is gone."""
        if not isinstance(sys.exception(), OSError):
            traceback.print_exc(file=sys.stderr)


class Handler(BaseHTTPRequestHandler):
    """Handler of one connection."""

    server: LoopbackServer
    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = (
        True  # else the second packet of a reply waits for the acknowledgement of the first
    )

    def do_GET(self) -> None:
        """Answers a request without a body, which changes nothing."""
        self._answer(0)

    def do_POST(self) -> None:
        """Answers a request with a body."""
        try:
            self._refuse_strangers()
            length = body_length(self.headers)
        except Refused as error:
            self.close_connection = True  # the body is not read
            self._reply(error.status, _error(error))
        else:
            self._answer(length)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Replies with the library's own errors in JSON, as with all others."""
        self.close_connection = True
        self._reply(HTTPStatus(code), _error(message or HTTPStatus(code).phrase))

    def log_message(self, format: str, *args: Any) -> None:
        """Ignores the message: requests are not logged."""

    def _answer(self, body_bytes: int) -> None:
        try:
            self._refuse_strangers()
            with self.server.turn_for(body_bytes):
                body = read_json(self.rfile, body_bytes) if self.command == "POST" else {}
                reply = self._routed(body)
        except UserError as error:
            status = getattr(error, "status", HTTPStatus.BAD_REQUEST)
            # Of a body that did not come in time, or had no turn, the rest may come yet.
            self.close_connection |= status in (
                HTTPStatus.REQUEST_TIMEOUT,
                HTTPStatus.SERVICE_UNAVAILABLE,
            )
            self._reply(status, _error(error))
        except OSError:  # the client is gone, or sends nothing
            self.close_connection = True
        except Exception:
            traceback.print_exc(file=sys.stderr)
            failed = "the server failed; its terminal says how"
            self._reply(HTTPStatus.INTERNAL_SERVER_ERROR, _error(failed))
        else:
            self._reply(HTTPStatus.OK, reply)

    def _routed(self, body: Body) -> Reply:
        try:
            parts = urlsplit(self.path)
        except ValueError as error:
            raise Refused(f"{self.path[:SHOWN_CHARACTERS]} is no path: {error}") from error
        query = parse_qs(parts.query)
        methods = []
        for route in self.server.routes:
            if match := re.fullmatch(route.pattern, parts.path):
                if route.method == self.command:
                    return route.answer(Asked(match.groups(), query, body))
                methods.append(route.method)
        if methods:
            allowed = " or ".join(methods)
            raise Refused(f"{parts.path} takes {allowed} alone", HTTPStatus.METHOD_NOT_ALLOWED)
        raise Refused(f"there is nothing at {parts.path}", HTTPStatus.NOT_FOUND)

    def _refuse_strangers(self) -> None:
        """Refuses requests of other sites' pages, and those for other names of this machine."""
        host = self.headers.get("Host", "")
        if self.server.is_local and _name_in(host) not in LOOPBACK_NAMES:
            raise Refused(f"host {host!r} is not this machine's own", HTTPStatus.FORBIDDEN)
        origin = self.headers.get("Origin")
        if origin is not None and origin != f"http://{host}":
            raise Refused(f"requests of {origin} are refused", HTTPStatus.FORBIDDEN)
        foreign = self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")
        if foreign and self.headers.get("Sec-Fetch-Mode") != "navigate":
            raise Refused("requests of other sites are refused", HTTPStatus.FORBIDDEN)

    def _reply(self, status: HTTPStatus, reply: Reply) -> None:
        content = reply.content
        try:
            self.send_response(status)
            self.send_header("Content-Type", reply.kind)
            if isinstance(content, bytes):
                self.send_header("Content-Length", str(len(content)))
            else:
                self.close_connection = True  # whose end is the end of the events
            if reply.file_name:
                attached = f'attachment; filename="{reply.file_name}"'
                self.send_header("Content-Disposition", attached)
            if self.close_connection:
                self.send_header("Connection", "close")
            for name, value in HEADERS.items():
                self.send_header(name, value)
            self.end_headers()
            if isinstance(content, bytes):
                self.wfile.write(content)
            else:
                self._tell(content)
        except OSError:  # the page was closed meanwhile, or takes nothing
            self.close_connection = True
        finally:
            if not isinstance(content, bytes):
                content.close()

    def _tell(self, events: Told) -> None:
        for event in events:
            if self._is_gone():
                return
            if event is not None:
                self.wfile.write(b"data: " + json.dumps(event).encode() + b"\n\n")

    def _is_gone(self) -> bool:
        """Whether the client has closed the connection."""
        readable, _, _ = select.select([self.connection], [], [], 0)
        return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)


def _name_in(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _error(error: object) -> Reply:
    return told({"error": str(error)})


_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\n"
    b'Content-Length: 55\r\n\r\n{"error": "too many connections are open; try again"}\n\n'
)
