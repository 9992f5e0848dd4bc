"""Sums over the ranks of one machine through memory that all of them see.

On CPUs, gloo sends what ranks of one machine sum through sockets. Here each rank writes its numbers
into a part of a shared file without a disk, sums a share of them over all parts, in the order of
ranks, and reads the rest from the others: the same bits on every rank.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from chiasm.ranks import Ranks

FOLDER = Path("/dev/shm")
"""Files in it are memory."""

SPARE = 2
"""So many times what is needed must be free: a file that finds no memory ends the process."""


class SharedSums:
    """Sums float32 tensors over ranks of one machine, together ``numbers`` elements at most.

    All ranks make it together, and call it together; between two calls they must meet.
    """

    def __init__(self, ranks: Ranks, numbers: int, folder: Path = FOLDER) -> None:
        self.ranks = ranks
        path = ""
        with ranks.together():
            if ranks.is_first:
                handle, path = tempfile.mkstemp(prefix="chiasm-", dir=folder)
                os.ftruncate(handle, 4 * numbers * ranks.size)
                os.close(handle)
        path = ranks.gather(path)[0]
        size = numbers * ranks.size
        self._parts_RN = torch.from_file(path, shared=True, size=size).view(ranks.size, numbers)
        ranks.barrier()
        if ranks.is_first:
            os.unlink(path)  # it goes with the last process that has it open

    def sum_in_place(self, tensors: Sequence[Tensor]) -> None:
        """Replaces each tensor by its sum over the ranks."""
        sizes = [tensor.numel() for tensor in tensors]
        count, ranks = sum(sizes), self.ranks
        for tensor, own in zip(
            tensors, self._parts_RN[ranks.rank, :count].split(sizes), strict=True
        ):
            own.view_as(tensor).copy_(tensor)
        ranks.barrier()
        first, *others = self._parts_RN[:, :count].tensor_split(ranks.size, 1)[ranks.rank]
        for other in others:
            first += other
        ranks.barrier()
        for tensor, summed in zip(tensors, self._parts_RN[0, :count].split(sizes), strict=True):
            tensor.copy_(summed.view_as(tensor))


def fits(ranks: Ranks, numbers: int, folder: Path = FOLDER) -> bool:
    """Whether all ranks are on one machine, which has so much shared memory."""
    if ranks.size != ranks.local_size or not ranks.are_there or not folder.is_dir():
        return False
    free = os.statvfs(folder)
    return free.f_bavail * free.f_frsize >= SPARE * 4 * numbers * ranks.size
