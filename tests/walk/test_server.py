"""What is asked over HTTP and answered."""

import base64
import io
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from chiasm.errors import UserError
from chiasm.loopback.bodies import MOST_BODY_BYTES
from chiasm.walk.server import WalkServer

JSON = {"Content-Type": "application/json"}


def ask(
    server: WalkServer,
    method: str,
    path: str,
    body: object = None,
    headers: Mapping[str, str] = JSON,
) -> tuple[int, bytes]:
    """The status and content of one answer; a body that is not bytes is sent as JSON."""
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    connection.request(method, path, content, dict(headers))
    reply = connection.getresponse()
    answer = reply.status, reply.read()
    connection.close()
    return answer


def told(server: WalkServer, path: str, body: object = None) -> dict[str, Any]:
    status, content = ask(server, "GET" if body is None else "POST", path, body)
    assert status == 200, content
    return json.loads(content)


def pixels(url: str | bytes) -> np.ndarray:
    content = base64.b64decode(url.partition(",")[2]) if isinstance(url, str) else url
    with PillowImage.open(io.BytesIO(content)) as picture:
        return np.array(picture)


def walk_of(server: WalkServer, *typed: str, start: int = 0, seed: int = 0) -> dict[str, Any]:
    """A walk, step by step."""
    name = told(server, "/walks", {"start": start})["walk"]
    for after, words in enumerate(typed, start=1):
        told(server, f"/walks/{name}/steps", {"typed": words, "after": after, "seed": seed})
    return told(server, f"/walks/{name}?truth=1")


def test_the_page_is_one_file_that_asks_nobody_else(server) -> None:
    status, page = ask(server, "GET", "/")
    assert status == 200
    assert b"<title>chiasm walk</title>" in page
    for elsewhere in (b"http://", b"https://", b'src="//', b"@import", b"url("):
        assert elsewhere not in page


def test_the_page_is_told_what_the_run_is(server, starts) -> None:
    about = told(server, "/about")
    assert about["title"] == "some-run"
    assert about["keys"]["A"] == "action: dx=+0.00 dy=+0.00 dyaw=+20"
    assert about["starts"] == len(starts)
    listed = told(server, "/starts?from=2")
    assert [each["number"] for each in listed["starts"]] == list(range(2, len(starts)))
    status, view = ask(server, "GET", "/starts/3.png")
    assert status == 200
    np.testing.assert_array_equal(pixels(view), starts[3].view)


def test_a_walk_goes_step_by_step(server, starts) -> None:
    walk = walk_of(server, "W", "dx=0 dy=0 dyaw=-20")
    texts = [frame["text"] for frame in walk["frames"]]
    assert texts[0] == ""
    assert texts[2] == "action: dx=+0.00 dy=+0.00 dyaw=-20"
    assert all(frame["milliseconds"] > 0 for frame in walk["frames"][1:])
    np.testing.assert_array_equal(pixels(walk["frames"][0]["view"]), starts[0].view)
    views = [pixels(frame["view"]) for frame in walk["frames"]]
    assert (views[1] != views[0]).any()
    assert (views[2] != views[1]).any()


def test_the_true_view_ends_where_an_instruction_begins(server) -> None:
    first, *_, last = walk_of(server, "A", "find the red torch")["frames"]
    assert first["pose"] is not None
    assert pixels(first["truth"]).shape == (8, 8, 3)
    assert last["truth"] is last["pose"] is None
    assert "names no pose" in last["truth_missing"]


def test_a_given_picture_has_no_true_view(server) -> None:
    buffer = io.BytesIO()
    PillowImage.new("RGB", (40, 30), (250, 3, 3)).save(buffer, "PNG")
    picture = base64.b64encode(buffer.getvalue()).decode()
    walk = told(server, "/walks", {"picture": picture, "name": "red.png", "truth": True})
    [frame] = walk["frames"]
    assert walk["start"] == "red.png"
    assert (pixels(frame["view"]) == (250, 3, 3)).all()
    assert frame["truth"] is None
    assert "No map" in frame["truth_missing"]


def test_steps_are_taken_back(server) -> None:
    walk = walk_of(server, "W", "A")
    path = f"/walks/{walk['walk']}"
    told(server, f"{path}/keep", {"count": 2, "after": 3})
    assert len(told(server, path)["frames"]) == 2
    again = told(server, f"{path}/steps", {"typed": "A", "after": 2})
    assert again["view"] == walk["frames"][2]["view"]


def test_two_pages_at_once_do_not_mix(server) -> None:
    scripts = [("W", "A", "W"), ("D", "WA", "go on")]
    alone = [walk_of(server, *script, start=n) for n, script in enumerate(scripts)]
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(walk_of, server, *s, start=n) for n, s in enumerate(scripts)]
        together = [each.result() for each in asked]
    for one, other in zip(alone, together, strict=True):
        for part in ("view", "truth", "text"):
            assert [f[part] for f in one["frames"]] == [f[part] for f in other["frames"]]


def test_a_walk_is_saved(server) -> None:
    name = walk_of(server, "W", "A")["walk"]
    status, sheet = ask(server, "GET", f"/walks/{name}/sheet.png")
    assert status == 200
    plain = pixels(sheet).shape
    _, sheet = ask(server, "GET", f"/walks/{name}/sheet.png?truth=1")
    assert pixels(sheet).shape[0] > plain[0]  # a second row below each line
    saved = told(server, f"/walks/{name}/walk.json")
    assert saved["run"] == "some-run"
    assert [frame["seed"] for frame in saved["frames"]] == [0] * 3


@pytest.mark.parametrize(
    ("status", "method", "path", "body", "complaint"),
    [
        (404, "GET", "/nowhere", None, "nothing at /nowhere"),
        (404, "GET", "/walks/gone", None, "no longer kept"),
        (405, "GET", "/walks", None, "takes POST"),
        (405, "POST", "/about", {}, "takes GET"),
        (501, "PUT", "/walks", {}, "Unsupported method"),
        (400, "GET", "/starts?from=x", None, "from=x"),
        (400, "GET", "/starts/99.png", None, "start 99"),
        (400, "POST", "/walks", b"{", "not JSON"),
        (400, "POST", "/walks", [1], "not a JSON object"),
        (400, "POST", "/walks", b"", "not JSON: Expecting value"),
        (400, "POST", "/walks", {"start": "1"}, 'start = "1": should be a valid integer'),
        (400, "POST", "/walks", {"name": "x" * 999}, "xxx...: String should have at most 200"),
        (400, "POST", "/walks", {"picture": "?"}, "not base64"),
        (400, "POST", "/walks", {"picture": "AAAA"}, "cannot be decoded"),
        (400, "POST", "/walks", {"begin": 1}, "there are start, picture, name, truth"),
    ],
)
def test_bad_requests_are_told_in_json(server, status, method, path, body, complaint) -> None:
    found, content = ask(server, method, path, body)
    assert found == status
    assert complaint in json.loads(content)["error"]


@pytest.mark.parametrize(
    ("status", "body", "complaint"),
    [
        (400, {"typed": "dx=1", "after": 1}, "cannot be read"),
        (400, {"typed": "dx=1e9 dy=0 dyaw=0", "after": 1}, "cannot be read"),
        (400, {"typed": "W rel_t=2", "after": 1}, "training showed the next frame alone"),
        (400, {"typed": "look", "after": 1, "number": 3, "of": 2}, "view 3 of 2"),
        (400, {"typed": "W"}, "after: it is missing"),
        (400, {"typed": 3, "after": 1.5}, "valid string; after = 1.5: should be a valid integer"),
        (400, {"typed": "\ud800", "after": 1}, "is no text"),
        (400, {"typed": "W", "after": 1, "guidance": float("nan")}, "guidance = NaN: should be"),
        (400, {"typed": "W", "after": 1, "guidance": 0.5}, "greater than or equal to 1"),
        (400, {"typed": "W", "after": 1, "seed": -1}, "seed = -1: "),
        (400, {"typed": "ж" * 290, "after": 1}, "context holds"),
        (409, {"typed": "W", "after": 2}, "has 1 frames and not 2"),
    ],
)
def test_a_bad_step_changes_nothing(server, status, body, complaint) -> None:
    name = told(server, "/walks", {"start": 0})["walk"]
    found, content = ask(server, "POST", f"/walks/{name}/steps", body)
    assert (found, complaint in json.loads(content)["error"]) == (status, True), content
    assert len(told(server, f"/walks/{name}")["frames"]) == 1


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (403, JSON | {"Origin": "http://elsewhere.example"}),
        (403, JSON | {"Origin": "null"}),
        (403, JSON | {"Host": "rebound.example"}),
        (403, JSON | {"Host": "[", "Sec-Fetch-Site": "none"}),
        (403, JSON | {"Sec-Fetch-Site": "cross-site"}),
        (415, {"Content-Type": "text/plain"}),
        (411, JSON | {"Content-Length": "few"}),
        (413, JSON | {"Content-Length": str(MOST_BODY_BYTES + 1)}),
    ],
)
def test_strangers_and_floods_are_refused_before_anything_is_read(server, status, headers) -> None:
    found, content = ask(server, "POST", "/walks", b"{}", headers)
    assert found == status
    assert json.loads(content)["error"]


def test_another_site_may_link_to_the_page_and_nothing_else(server) -> None:
    linked = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert ask(server, "GET", "/", headers=linked)[0] == 200
    shown = linked | {"Sec-Fetch-Mode": "no-cors"}
    assert ask(server, "GET", "/starts/0.png", headers=shown)[0] == 403


def test_a_port_that_is_taken_is_told(server) -> None:
    taken = f"--port {server.server_port} cannot be listened on .*another port"
    with pytest.raises(UserError, match=taken):
        WalkServer(("127.0.0.1", server.server_port))


@pytest.mark.parametrize("host", ["nowhere.invalid", "192.0.2.1", "a..b", "::zz"])
def test_a_host_that_is_not_this_machines_is_told(host: str) -> None:
    with pytest.raises(UserError, match="give an address of this machine as --host"):
        WalkServer((host, 0))
