"""A verb that several ranks run together, started by torchrun."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from chiasm.errors import UserError
from chiasm.recipe import Recipe

if TYPE_CHECKING:
    from chiasm.ranks import Ranks


@contextmanager
def several_ranks(load: Callable[[], Recipe]) -> Iterator[tuple[Recipe, Ranks]]:
    """Yields the recipe and the ranks; a mistake in the recipe is told by one rank.

    One process finds it before anything slow is imported.
    """
    failed: UserError | None = None
    seconds = {}
    try:
        recipe = load()
        seconds = {"timeout_seconds": recipe.training.parallel.timeout_seconds}
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
