"""The items that a document holds at once, where the oldest ones leave it for the next."""

from __future__ import annotations

from collections import deque

from chiasm.inference.passage import Passage


class Window:
    """Where the items of one document lie in its row.

    Args:
        most_items: that the document holds at once; None: all.
        prompt: begins with ``<bod>`` and an item, unless the document holds all.
    """

    def __init__(self, most_items: int | None, prompt: Passage) -> None:
        self._most_items = most_items
        self._begins = deque(item.start - 1 for item in prompt.items)

    def make_room(self, held: int, text: int, item: int, context: int) -> int:
        """Counts a further item in; returns how many positions behind ``<bod>`` leave for it.

        The oldest items leave, each with the text behind it; the last one stays.

        Args:
            held: positions that the row holds.
            text: positions of the text before the item.
            item: positions of the item with its marks.
            context: most positions of the row.
        """
        if self._most_items is None:
            return 0
        begins, first, gone = self._begins, self._begins[0], 0
        while len(begins) > 1 and (
            len(begins) >= self._most_items or held - gone + text + item > context
        ):
            begins.popleft()
            gone = begins[0] - first
        self._begins = deque(begin - gone for begin in (*begins, held + text))
        return gone
