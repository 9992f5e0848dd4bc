"""What is asked over HTTP and answered, by friends, by strangers and by nobody in particular."""

import base64
import io
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from chiasm.demo.engine import MOST_WAITING
from chiasm.documents import Image, Text
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import Request, SamplingSettings
from chiasm.inference.sampler import Sampler
from chiasm.inference.tasks import answer, draw
from chiasm.loopback.server import LoopbackServer

JSON = {"Content-Type": "application/json"}


def ask(
    server: LoopbackServer, method: str, path: str, body: object = None, **headers: str
) -> tuple[int, bytes]:
    """The status and content of one answer; a body that is not bytes is sent as JSON."""
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    connection.request(method, path, content, JSON | headers)
    reply = connection.getresponse()
    answer = reply.status, reply.read()
    connection.close()
    return answer


def events(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(each.removeprefix(b"data: ")) for each in content.split(b"\n\n")[:-1]]


def told(server: LoopbackServer, task: str, body: object) -> list[dict[str, Any]]:
    status, content = ask(server, "POST", f"/tasks/{task}", body)
    assert status == 200, content
    found = events(content)
    assert found[-1] == {"kind": "over"}
    return found


def texts(found: list[dict[str, Any]], sample: int = 0) -> str:
    return "".join(e["text"] for e in found if e["kind"] == "text" and e["sample"] == sample)


def pixels(url: str) -> np.ndarray:
    with PillowImage.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as picture:
        return np.array(picture)


def begun(server: LoopbackServer) -> socket.socket:
    """A connection that draws without an end, in all rows."""
    connection = socket.create_connection(("127.0.0.1", server.server_port), timeout=60)
    connection.sendall(b"GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n")
    answer = b""
    while b'"begun"' not in answer:
        answer += connection.recv(4096)
    return connection


def test_the_page_is_one_file_that_asks_nobody_else(server) -> None:
    status, page = ask(server, "GET", "/")
    assert status == 200
    assert b"<title>chiasm demo</title>" in page
    for elsewhere in (b"http://", b"https://", b'src="//', b"@import", b"url("):
        assert elsewhere not in page


def test_the_page_is_told_what_the_model_can_do(server) -> None:
    about = json.loads(ask(server, "GET", "/about")[1])
    assert about["title"] == "some-run"
    assert about["reads"] == about["makes"] == ["image"]
    assert about["pixels"] == [8, 8]
    assert about["walk"] == {}


def test_texts_are_those_of_the_sampler(server, model: Pretrained) -> None:
    body = {"prompt": "view", "seed": 3, "samples": 2, "max_tokens": 8}
    found = told(server, "write", body)
    requests = [Request((Text("view"),), 3 + n) for n in range(2)]
    expected = Sampler(model).generate(requests, SamplingSettings(max_tokens=8, max_items=0))
    assert [[Text(texts(found, n))] for n in range(2)] == expected


def test_pictures_are_those_of_the_sampler_and_come_step_by_step(server, model) -> None:
    found = told(server, "draw", {"words": "a wall", "seed": 5, "steps": 12, "guidance": 2})
    steps = [event["step"] for event in found if event["kind"] == "step"]
    assert set(steps) == set(range(1, 12))
    assert sum("picture" in event for event in found if event["kind"] == "step") == 5
    [item] = [event for event in found if event["kind"] == "item"]
    settings = SamplingSettings(steps=12, guidance=2)
    [expected] = draw(Sampler(model), ["a wall"], settings=settings, seed=5)
    assert abs(pixels(item["picture"]).astype(int) - expected).max() <= 1


def test_a_picture_is_asked_about(server, model, encoded: str) -> None:
    body = {"question": "what?", "picture": encoded, "temperature": 0, "max_tokens": 9}
    found = told(server, "ask", body)
    image = Image(base64.b64decode(encoded), target=False)
    settings = SamplingSettings(temperature=0, max_tokens=9)
    assert [texts(found).strip()] == answer(Sampler(model), [image], ["what?"], settings=settings)


def test_a_document_goes_on_with_items(server, encoded: str) -> None:
    parts = [{"picture": encoded}, {"text": "then"}]
    found = told(server, "go-on", {"parts": parts, "opens": "image", "steps": 2, "max_tokens": 5})
    kinds = [event["kind"] for event in found]
    assert kinds.index("item") < kinds.index("text")
    assert [e["why"] for e in found if e["kind"] == "ended"]


def test_the_walk_page_lies_in_it(server) -> None:
    assert b"<title>chiasm walk</title>" in ask(server, "GET", "/walk/")[1]
    walk = json.loads(ask(server, "POST", "/walk/walks", {})[1])
    step = {"typed": "W", "after": 1, "guidance": 1}
    status, frame = ask(server, "POST", f"/walk/walks/{walk['walk']}/steps", step)
    assert status == 200
    assert json.loads(frame)["view"] != walk["frames"][0]["view"]


def test_a_closed_browser_cancels_what_it_asked_for(server) -> None:
    """What comes behind it would have to wait without an end."""
    with begun(server):
        waits = threading.Thread(target=told, args=(server, "write", {"prompt": "the"}))
        waits.start()
        waits.join(0.2)
        assert waits.is_alive()
    waits.join(60)
    assert not waits.is_alive()


def test_thousands_at_once_wait_or_are_told_that_they_cannot(server) -> None:
    statuses, lock = [], threading.Lock()

    def one(seed: int) -> None:
        try:
            status, _ = ask(server, "POST", "/tasks/write", {"prompt": "a", "seed": seed})
        except OSError:
            status = 0  # more connections than are taken at once
        with lock:
            statuses.append(status)

    with begun(server):
        threads = [threading.Thread(target=one, args=(n,)) for n in range(200)]
        for thread in threads:
            thread.start()
    for thread in threads:
        thread.join()
    assert statuses.count(200) >= MOST_WAITING
    assert set(statuses) <= {200, 503, 0}
    assert told(server, "write", {"prompt": "the", "max_tokens": 3})


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "rebound.example"},
        {"Origin": "http://elsewhere.example"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_strangers_are_refused(server, headers: dict[str, str]) -> None:
    status, content = ask(server, "POST", "/tasks/write", {"prompt": "a"}, **headers)
    assert status == 403
    assert json.loads(content)["error"]


def large_picture(width: int, height: int) -> str:
    buffer = io.BytesIO()
    PillowImage.new("1", (width, height)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


@pytest.mark.parametrize(
    ("task", "body", "complaint"),
    [
        ("write", {}, "prompt: it is missing"),
        ("write", {"prompt": 3}, "prompt = 3: should be a valid string"),
        ("write", {"prompt": "x" * 30_000}, "at most 20000 characters"),
        ("write", {"prompt": "x" * 3000}, "the model's context holds 400"),
        ("write", {"prompt": "\ud800"}, "unable to parse raw data as a unicode string"),
        ("write", {"prompt": "", "samples": 9}, "samples = 9: "),
        ("write", {"prompt": "", "temperature": float("nan")}, "temperature = NaN: "),
        ("write", {"prompt": "", "max_tokens": 10**9}, "max_tokens = 1000000000: "),
        ("write", {"prompt": "", "sede": 1}, "sede: there is no such field; there are samples"),
        ("draw", {"words": "a", "steps": 0}, "steps = 0: "),
        ("draw", {"words": "a", "solver": "rk4"}, "solver = "),
        ("draw", {"words": "a", "stream": "sound"}, "there is no stream 'sound' here, only image"),
        ("draw", {"words": "a", "aspect": 2.0}, "all items of this model have one shape"),
        ("ask", {"question": "what?"}, "give a picture or a sound"),
        ("ask", {"picture": "?"}, "not base64"),
        ("ask", {"picture": "AAAA", "name": "notes.txt"}, "notes.txt cannot be decoded"),
        ("ask", {"picture": large_picture(1, 5000)}, "1 x 5000 pixels; give 8 at least"),
        ("ask", {"picture": large_picture(8_000, 8_000)}, "give 50,000,000 at most"),
        ("ask", {"picture": large_picture(20_000, 10_000)}, "200000000 pixels"),
        ("ask", {"sound": "AAAA"}, "there is no stream 'sound' here, only image"),
        ("ask", {"sound": "AAAA", "picture": "AAAA"}, "give one of them"),
        ("go-on", {"parts": [{}] * 17}, "at most 16 items"),
        ("go-on", {"parts": [{"text": "a", "file": "/etc/passwd"}]}, "parts.0.file: there is no"),
    ],
)
def test_what_cannot_be_done_is_told(server, task, body, complaint) -> None:
    status, content = ask(server, "POST", f"/tasks/{task}", body)
    assert status == 400
    assert complaint in json.loads(content)["error"]


def hostile(count: int) -> Iterator[bytes]:
    """Bytes that a connection may begin with: other paths, methods, headers, bodies, and noise."""
    random = np.random.default_rng(0)
    paths = ["/", "/about", "/tasks/write", "/tasks/draw", "/walk/starts/0.png", "//[", "/%00", "*"]
    paths += [
        "/../../etc/passwd",
        "/..%2f..%2fetc%2fpasswd",
        "/walk/../page.html",
        "/" + "a" * 70_000,
    ]
    paths += [
        "/walk/walks/" + "x" * 500,
        "http://[/",
        "/walk/starts?from=" + "9" * 5000,
        "/tasks/..",
    ]
    methods = ["GET", "POST", "PUT", "HEAD", "OPTIONS", "TRACE", "", "\x00", "GET" * 100]
    hosts = ["localhost", "127.0.0.1", "rebound.example", "[", "", "localhost:99999", "\xff"]
    bodies = [
        b"",
        b"{}",
        b"[" * 5000,
        b'{"prompt": ',
        b"\xff\xfe",
        b"null",
        b'{"prompt": "\\ud800"}',
    ]
    bodies += [
        b'{"words": "a", "steps": 1e999}',
        b'{"parts": [{"picture": "' + b"A" * 4000 + b'"}]}',
    ]
    kinds = ["application/json", "text/plain", "", "application/json; charset=\xff"]
    for _ in range(count):

        def pick(from_: list) -> Any:
            return from_[random.integers(len(from_))]

        if random.random() < 0.1:
            yield random.bytes(int(random.integers(1, 3000))) + b"\r\n\r\n"
            continue
        body = pick(bodies)
        length = pick([str(len(body)), str(len(body)), "-1", "9" * 30, "1_0", "", "0x5"])
        lines = [f"{pick(methods)} {pick(paths)} HTTP/{pick(['1.1', '1.0', '9.9', ''])}"]
        lines += [
            f"Host: {pick(hosts)}",
            f"Content-Type: {pick(kinds)}",
            f"Content-Length: {length}",
        ]
        if random.random() < 0.1:
            lines += [f"X-{n}: {'y' * 50}" for n in range(200)]
        if random.random() < 0.1:
            lines += ["Transfer-Encoding: chunked"]
        whole = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
        yield whole[: random.integers(len(whole))] if random.random() < 0.1 else whole


@pytest.mark.slow
def test_a_thousand_hostile_requests_change_nothing(server, capfd) -> None:
    """Each is answered or closed; nothing fails, nothing of the disk is told, and it goes on."""
    for content in hostile(1000):
        with socket.create_connection(("127.0.0.1", server.server_port), timeout=20) as connection:
            connection.sendall(content)
            with suppress(OSError):  # it may be refused and closed by now
                connection.shutdown(socket.SHUT_WR)
            answer = b""
            while part := connection.recv(1 << 16):
                answer += part
        assert b"root:" not in answer
        assert b" 500 " not in answer[:30], (content[:200], answer)
    assert capfd.readouterr().err == ""
    assert told(server, "write", {"prompt": "the", "max_tokens": 3})
