"""Mismatched items as controls: from another cluster, and with other content.

An action, a sentence or a caption is a fair control only if it comes from another walk or map,
since items of one walk are alike, and only if its content differs.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

NOBODY = -1
"""Marks that no item of another cluster has other content."""


def strangers(
    clusters: Sequence[int] | np.ndarray, contents: Sequence[Hashable], seed: int
) -> np.ndarray:
    """Returns, for each item, the number of one from another cluster with other content: int64 [N].

    Clusters stand in a circle, in an order drawn from the seed. Each takes items from the next one,
    so that no cluster takes from itself and each gives to one other; where the next one has no
    other content, from the one behind it. :data:`NOBODY` where no cluster has any.

    Args:
        clusters: the walk or map of each item.
        contents: the content of each item.
        seed: of the order of clusters, and of items within them.
    """
    rng = np.random.default_rng(seed)
    names = rng.permutation(np.unique(np.asarray(clusters)))
    members = [rng.permutation(np.flatnonzero(np.asarray(clusters) == name)) for name in names]
    found = np.full(len(contents), NOBODY)
    for place, own in enumerate(members):
        others = [*members[place + 1 :], *members[:place]]
        for nth, item in enumerate(own):
            # Each item starts one place further: items of a cluster take different ones.
            dealt = (other for group in others for other in np.roll(group, -(nth % len(group))))
            different = (other for other in dealt if contents[other] != contents[item])
            found[item] = next(different, NOBODY)
    return found
