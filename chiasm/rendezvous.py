"""How the processes that torchrun starts find each other."""

from __future__ import annotations

import faulthandler
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch

from chiasm.errors import UserError, first_line
from chiasm.ranks import Ranks, SeveralRanks

TIMEOUT_SECONDS = 600.0
"""Time that a rank waits for another one while training before it gives up."""


@contextmanager
def open_ranks(timeout_seconds: float = TIMEOUT_SECONDS) -> Iterator[Ranks]:
    """Yields the ranks that the environment describes: one process, unless torchrun says otherwise.

    Raises:
        UserError: the ranks do not find each other.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Ranks()
        return
    import torch.distributed as dist

    _join(timeout_seconds)
    ranks = SeveralRanks(timeout_seconds)
    try:
        with ranks.reached():
            yield ranks
            ranks.barrier()
    finally:
        faulthandler.cancel_dump_traceback_later()
    dist.destroy_process_group()


def _join(timeout_seconds: float) -> None:
    import torch.distributed as dist

    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    where = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
    try:
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=timedelta(seconds=timeout_seconds)
        )
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"rank {os.environ.get('RANK')} of {os.environ['WORLD_SIZE']} does not find the others "
            f"at {where} (MASTER_ADDR, MASTER_PORT): {first_line(error)}",
            remedy="start as many processes as WORLD_SIZE says, all with the same address and a "
            "free port; torchrun --nproc-per-node N -m chiasm train RECIPE does it on one machine",
        ) from error
