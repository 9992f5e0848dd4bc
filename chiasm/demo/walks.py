"""Walks that are opened while the page is served already: their views may have to be rendered."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from http import HTTPStatus
from threading import Thread

from chiasm.errors import UserError
from chiasm.loopback.replies import Refused
from chiasm.walk.answers import Answers


class LaterWalks:
    """The answers of walks, as soon as they are there.

    Args:
        opened: opens them; called once, in a thread of its own.
    """

    def __init__(self, opened: Callable[[], Answers]) -> None:
        self._found: Answers | Refused = Refused(
            "the views of walks are being opened", HTTPStatus.SERVICE_UNAVAILABLE
        )
        # Nobody waits for it at the end: rendering may take minutes.
        Thread(target=self._open, args=(opened,), name="walks", daemon=True).start()

    def __call__(self) -> Answers:
        """Returns the answers.

        Raises:
            Refused: they are not there yet, or cannot be opened.
        """
        if isinstance(self._found, Refused):
            raise self._found
        return self._found

    def _open(self, opened: Callable[[], Answers]) -> None:
        try:
            self._found = opened()
        except UserError as error:
            self._found = Refused(str(error), HTTPStatus.NOT_FOUND)
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            self._found = Refused(f"walks cannot be opened: {error}", HTTPStatus.NOT_FOUND)
