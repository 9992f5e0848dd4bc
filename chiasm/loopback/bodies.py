"""Bodies of requests, read as settings and files."""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Mapping
from email.message import Message
from http import HTTPStatus
from io import BufferedIOBase
from typing import Any, TypeVar

from pydantic import ValidationError

from chiasm.errors import UserError
from chiasm.loopback.replies import JSON, Body, Refused
from chiasm.settings import Settings

MOST_BODY_BYTES = 16 * 2**20
"""Largest body, a file of 12 MB in base64."""
BODY_SECONDS = 60.0
"""Time in which a body must have come."""
SHOWN_CHARACTERS = 60
"""Most characters of a refused value in a message."""

Read = TypeVar("Read", bound=Settings)


def body_length(headers: Message) -> int:
    """Returns the length in bytes of the body behind a request's headers.

    Raises:
        Refused: it is not JSON, too long, or its length is not told.
    """
    if headers.get_content_type() != JSON:
        raise Refused(f"send {JSON}", HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    digits = headers.get("Content-Length", "")
    if not digits.isascii() or not digits.isdigit():
        raise Refused("send the body's Content-Length", HTTPStatus.LENGTH_REQUIRED)
    digits = digits.lstrip("0") or "0"
    if len(digits) > len(str(MOST_BODY_BYTES)) or int(digits) > MOST_BODY_BYTES:
        raise Refused(
            f"{digits[:SHOWN_CHARACTERS]} bytes are too many; send {MOST_BODY_BYTES:,} at most",
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        )
    return int(digits)


def read_json(stream: BufferedIOBase, length: int) -> Body:
    """Returns a body of so many bytes.

    Raises:
        Refused: it is no JSON object, or does not come in time.
    """
    try:
        body = json.loads(_read(stream, length))
    except (ValueError, RecursionError) as error:
        raise Refused(f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise Refused("the body is not a JSON object; send {...}")
    return body


def _read(stream: BufferedIOBase, length: int) -> bytes:
    end, parts = time.monotonic() + BODY_SECONDS, []
    while length:
        part = stream.read1(min(length, 1 << 16))
        if not part or time.monotonic() > end:
            raise Refused("the body did not come in time", HTTPStatus.REQUEST_TIMEOUT)
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def read_body(kind: type[Read], body: Body) -> Read:
    """Returns a request's body as settings.

    Raises:
        UserError: it is not valid; the message names the fields.
    """
    try:
        return kind.model_validate(body, strict=True)
    except ValidationError as error:
        raise UserError("; ".join(_complaint(kind, item) for item in error.errors())) from error


def read_file(name: str, encoded: str) -> bytes:
    """Returns a file's content, which a request's field has in base64.

    Raises:
        UserError: it is not base64.
    """
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise UserError(f"{name}: it is not base64") from error


def _complaint(kind: type[Settings], item: Mapping[str, Any]) -> str:
    """Returns a message about one wrong field of a request."""
    name = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        return f"{name}: there is no such field; there are {', '.join(kind.model_fields)}"
    if item["type"] == "missing":
        return f"{name}: it is missing"
    given = json.dumps(item["input"])
    shown = given if len(given) <= SHOWN_CHARACTERS else f"{given[:SHOWN_CHARACTERS]}..."
    return f"{name} = {shown}: {item['msg'].removeprefix('Input ')}"
