"""Wrong items to hold the right ones against: from elsewhere, and with something else in them.

An action, a sentence or a caption is only wrong where it comes from another walk or map: what
follows on one walk is much alike. And it is only wrong where it says something else.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

NOBODY = -1
"""No item of another cluster has other content."""


def strangers(
    clusters: Sequence[int] | np.ndarray, contents: Sequence[Hashable], seed: int
) -> np.ndarray:
    """For each item the number of one from another cluster with other content: int64 [N].

    The clusters are dealt round: each takes from the next one in an order that the seed gives, so
    that no cluster takes from itself and each gives to one other; where nothing of the next one
    has other content, from the one behind it. :data:`NOBODY` where no cluster has any.

    Args:
        clusters: the walk or map of each item.
        contents: what each item says.
        seed: of the order of clusters, and of items within them.
    """
    rng = np.random.default_rng(seed)
    names = rng.permutation(np.unique(np.asarray(clusters)))
    members = [rng.permutation(np.flatnonzero(np.asarray(clusters) == name)) for name in names]
    found = np.full(len(contents), NOBODY)
    for place, own in enumerate(members):
        others = [*members[place + 1 :], *members[:place]]
        for nth, item in enumerate(own):
            dealt = (other for group in others for other in np.roll(group, -(nth % len(group))))
            different = (other for other in dealt if contents[other] != contents[item])
            found[item] = next(different, NOBODY)
    return found
