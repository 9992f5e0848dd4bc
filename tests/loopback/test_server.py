"""The bounds of a server that pages share; its checks are tested with the pages."""

import json
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from chiasm.loopback import bodies, server
from chiasm.loopback.replies import EVENTS, Asked, Reply, Route, mounted, told
from chiasm.loopback.server import LoopbackServer


class Ticking:
    """Events without an end, and whether they were closed."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[dict[str, int] | None]:
        yield {"tick": 0}
        while not self.closed.wait(0.01):
            yield None

    def close(self) -> None:
        self.closed.set()


@pytest.fixture
def ticking() -> Ticking:
    return Ticking()


@contextmanager
def serving(ticking: Ticking) -> Iterator[LoopbackServer]:
    def echoed(asked: Asked) -> Reply:
        return told({"parts": asked.parts, "size": len(str(asked.body))})

    routes = [Route("GET", "/events", lambda q: Reply(ticking, EVENTS))]
    routes += mounted("/a.b", [Route("POST", "/([a-z]+)", echoed)])
    with LoopbackServer(("127.0.0.1", 0)) as opened:
        thread = threading.Thread(target=opened.serve_routes, args=(routes,))
        thread.start()
        yield opened
        ticking.close()
        opened.shutdown()
        thread.join()


@pytest.fixture
def served(ticking: Ticking) -> Iterator[LoopbackServer]:
    with serving(ticking) as opened:
        yield opened


def connected(served: LoopbackServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", served.server_port), timeout=30)


def answer(connection: socket.socket) -> tuple[int, dict]:
    content = b""
    while part := connection.recv(1 << 16):
        content += part
    head, _, body = content.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def posted(path: str, body: bytes, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    head = f"POST {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {size}\r\n\r\n".encode() + body


def test_events_end_when_the_client_is_gone(served: LoopbackServer, ticking: Ticking) -> None:
    with connected(served) as connection:
        connection.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        content = b""
        while b'data: {"tick": 0}\n\n' not in content:
            content += connection.recv(4096)
        assert not ticking.closed.is_set()
    assert ticking.closed.wait(20)


def test_routes_lie_below_a_path(served: LoopbackServer) -> None:
    for path, status in (("/a.b/cd", 200), ("/aXb/cd", 404), ("/cd", 404), ("/a.b/cd/", 404)):
        with connected(served) as connection:
            connection.sendall(posted(path, b"{}"))
            assert answer(connection)[0] == status


def test_connections_are_bounded(ticking: Ticking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 2)
    with serving(ticking) as served, connected(served), connected(served), connected(served) as one:
        status, told_ = answer(one)
    assert (status, told_) == (503, {"error": "too many connections are open; try again"})


def test_large_bodies_take_turns(ticking: Ticking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOST_LARGE_BODIES", 1)
    body = json.dumps({"file": "x" * server.LARGE_BODY_BYTES}).encode()
    with serving(ticking) as served, connected(served) as slow, connected(served) as other:
        slow.sendall(posted("/a.b/slow", body)[:-1])
        while served._large._value:  # until the first has its turn
            time.sleep(0.01)
        other.sendall(posted("/a.b/other", body))
        with connected(served) as small:
            small.sendall(posted("/a.b/small", b"{}"))
            assert answer(small)[0] == 200
        assert not select.select([other], [], [], 0)[0]
        slow.sendall(body[-1:])
        assert answer(slow)[0] == answer(other)[0] == 200


def test_a_body_that_does_not_come_is_given_up(
    served: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.0)
    with connected(served) as connection:
        connection.sendall(posted("/a.b/slow", b"{", length=100))
        connection.shutdown(socket.SHUT_WR)
        assert answer(connection) == (408, {"error": "the body did not come in time"})
