"""A verb that several ranks run together, started by torchrun."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from chiasm.errors import UserError

if TYPE_CHECKING:
    from chiasm.ranks import Ranks


Loaded = TypeVar("Loaded")


@contextmanager
def several_ranks(
    load: Callable[[], Loaded], timeout_seconds: Callable[[Loaded], float] | None = None
) -> Iterator[tuple[Loaded, Ranks]]:
    """Yields the recipe and the ranks; a mistake in the recipe is told by one rank.

    One process finds it before anything slow is imported. ``timeout_seconds``: what the recipe says
    of how long ranks wait for each other.
    """
    failed: UserError | None = None
    seconds = {}
    try:
        recipe = load()
        if timeout_seconds is not None:
            seconds = {"timeout_seconds": timeout_seconds(recipe)}
    except UserError as error:
        if os.environ.get("WORLD_SIZE", "1") == "1":
            raise
        failed = error
    from chiasm.rendezvous import open_ranks

    with open_ranks(**seconds) as ranks:
        with ranks.together():
            if failed is not None:
                raise failed
        yield recipe, ranks
