"""The ranks of a run: who they are, and the few things that they agree on.

One process is a ranks of one: every agreement is with itself, and nothing is sent. Ranks that
``torchrun`` starts find each other by the variables of its environment.

Numbers that the host needs travel through a group of their own on the CPU. A failure on one rank is
told to all before it is raised: else the others would wait for it in the next collective.
"""

from __future__ import annotations

import faulthandler
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import torch
from torch import Tensor, nn

from chiasm.errors import OtherRankError, RankLostError, UserError, first_line

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

T = TypeVar("T")

STDERR = 2
PREPARATION_HOURS = 24.0
"""Time that ranks wait before training: one of a machine renders and encodes for all of them."""


class Ranks:
    """One process alone; :class:`SeveralRanks` are several."""

    files: ProcessGroup | None = None
    """Group for what ranks write together, beside the training."""

    rank = 0
    size = 1
    local_rank = 0
    """Number of this rank on its machine."""
    local_size = 1
    """Ranks on this machine."""
    are_there = True  # which those that are only planned are not

    @property
    def is_first(self) -> bool:
        """Whether this is the rank that writes and tells what is one for all."""
        return self.rank == 0

    @property
    def aside(self) -> Ranks:
        """The same ranks by a channel of its own, for a thread beside the training."""
        return self

    def sums(self, numbers: Sequence[int]) -> list[int]:
        """Returns sums over the ranks of whole numbers."""
        return list(numbers)

    def most(self, number: int) -> int:
        """Returns the largest of the ranks' numbers."""
        return number

    def all_sum(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Returns sums over the ranks of tensors without gradients, which stay as they are."""
        return tensors

    def gather(self, own: T) -> list[T]:
        """Returns what every rank gives, by rank."""
        return [own]

    def barrier(self) -> None:
        """Waits until all ranks are here."""

    @contextmanager
    def together(self) -> Iterator[None]:
        """All ranks leave the context, or none: the first failure inside ends all of them.

        Ranks must not wait for each other inside.

        Raises:
            OtherRankError: another rank failed, or one of a lower number failed as well.
        """
        yield

    @contextmanager
    def before_sums(self) -> Iterator[None]:
        """As :meth:`together` where all call :meth:`sums` next, whose message does for both."""
        yield

    @contextmanager
    def later(self) -> Iterator[None]:
        """A failure inside ends all ranks where they next leave :meth:`together`, or
        :meth:`before_sums`: no message is spent on it now."""
        yield

    def once_per_machine(self, make: Callable[[], T]) -> T:
        """Returns what ``make`` gives, which the first rank of each machine does before others.

        The others find what the first one has left in the machine's caches.
        """
        return make()

    def alive(self) -> None:
        """Says that a step begins: from the first one on ranks wait no longer than the time-out for
        each other, and one that does not get so far again within it prints its stack."""

    def at_rest(self) -> None:
        """Says that the steps are over: ranks wait for each other as long as before them."""


ALONE = Ranks()
"""Of a process that has no others."""


SUMMED_NUMBERS = 256
"""The most that :meth:`SeveralRanks.sums` sums at once."""


class SeveralRanks(Ranks):
    """Several processes that train one model, started by ``torchrun``."""

    def __init__(self, timeout_seconds: float) -> None:
        import torch.distributed as dist

        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self.local_rank = int(os.environ.get("LOCAL_RANK", self.rank))
        self.local_size = int(os.environ.get("LOCAL_WORLD_SIZE", self.size))
        self.timeout_seconds = timeout_seconds
        wait, hours = timedelta(seconds=timeout_seconds), timedelta(hours=PREPARATION_HOURS)
        self._strict = dist.new_group(backend="gloo", timeout=wait)
        self._host = self._patient = dist.new_group(backend="gloo", timeout=hours)
        self.files = dist.new_group(backend="gloo", timeout=wait)
        self._late: Exception | None = None

    @property
    def aside(self) -> Ranks:
        other = copy(self)
        other._host = other._strict = self.files
        return other

    def sums(self, numbers: Sequence[int]) -> list[int]:
        found, failed = self._sums(numbers, None)
        if failed:
            self._end_all(None)
        return found

    def _sums(self, numbers: Sequence[int], failed: Exception | None) -> tuple[list[int], int]:
        """Sums, and how many ranks failed: a message of one length, so that both can meet."""
        import torch.distributed as dist

        sent = torch.zeros(SUMMED_NUMBERS + 1, dtype=torch.int64)
        sent[: len(numbers)] = torch.tensor(numbers, dtype=torch.int64)
        sent[-1] = failed is not None
        with self.reached():
            dist.all_reduce(sent, group=self._host)
        return sent[: len(numbers)].tolist(), int(sent[-1])

    def most(self, number: int) -> int:
        import torch.distributed as dist

        sent = torch.tensor(number)
        with self.reached():
            dist.all_reduce(sent, dist.ReduceOp.MAX, group=self._host)
        return int(sent)

    def all_sum(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        import torch.distributed as dist

        summed = {}
        for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
            own = [tensor for tensor in tensors if tensor.dtype == dtype]
            flat = torch.cat([tensor.detach().flatten() for tensor in own])
            with self.reached():
                dist.all_reduce(flat)
            parts = flat.split([tensor.numel() for tensor in own])
            summed[dtype] = iter([p.view_as(t) for p, t in zip(parts, own, strict=True)])
        return tuple(next(summed[tensor.dtype]) for tensor in tensors)

    def gather(self, own: T) -> list[T]:
        import torch.distributed as dist

        found: list[Any] = [None] * self.size
        with self.reached():
            dist.all_gather_object(found, own, group=self._host)
        return found

    def barrier(self) -> None:
        import torch.distributed as dist

        with self.reached():
            dist.barrier(group=self._host)

    @contextmanager
    def together(self) -> Iterator[None]:
        failed, self._late = self._late, None
        try:
            yield
        except Exception as error:
            failed = failed or error
        if self.most(int(failed is not None)):
            self._end_all(failed)

    @contextmanager
    def before_sums(self) -> Iterator[None]:
        failed, self._late = self._late, None
        try:
            yield
        except Exception as error:
            failed = failed or error
        if failed is not None:
            self._sums([], failed)
            self._end_all(failed)

    @contextmanager
    def later(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._late = self._late or error

    def _end_all(self, failed: Exception | None) -> NoReturn:
        """Raises on every rank; ``failed``: what failed on this one."""
        told = self.gather(
            None if failed is None else (first_line(failed), isinstance(failed, UserError))
        )
        rank, first = next((rank, own) for rank, own in enumerate(told) if own is not None)
        if failed is not None and rank == self.rank:
            raise failed
        raise OtherRankError(f"rank {rank}: {first[0]}", mistake=first[1]) from failed

    def once_per_machine(self, make: Callable[[], T]) -> T:
        made: list[T] = []
        for turn in (True, False):
            with self.together():
                if turn == (self.local_rank == 0):
                    made.append(make())
        return made[0]

    def alive(self) -> None:
        self._host = self._strict
        # Before ranks that wait give up: a stack that unwinds while it is read can crash Python.
        faulthandler.dump_traceback_later(0.9 * self.timeout_seconds, file=STDERR)

    def at_rest(self) -> None:
        self._host = self._patient
        faulthandler.cancel_dump_traceback_later()

    @contextmanager
    def reached(self) -> Iterator[None]:
        """Names ranks that are gone, where a collective inside fails."""
        try:
            yield
        except RuntimeError as error:
            if not is_loss(error):
                raise
            raise RankLostError(
                f"rank {self.rank} of {self.size}: another rank has ended or did not answer within "
                f"{self.timeout_seconds:g} s ({first_line(error)}). What was saved is whole: the "
                "same command goes on from the last checkpoint, on any number of ranks"
            ) from error


def is_loss(error: BaseException) -> bool:
    """Whether an error of a collective says that another rank is not there."""
    return any(told in str(error) for told in _LOST)


_LOST = ("onnection closed", "onnection reset", "imed out", "Broken pipe", "Socket Timeout")


def agree(ranks: Ranks, tell: Callable[[], Mapping[str, Any]]) -> None:
    """Refuses ranks that differ in one of the things that each of them tells, by their names.

    Raises:
        UserError: they do; on rank 0, and on the others :class:`OtherRankError`.
    """
    if ranks.size == 1:
        return
    what = dict(tell())
    found = ranks.gather(what)
    with ranks.together():
        for rank, others in enumerate(found if ranks.is_first else ()):
            for name in {**what, **others}:
                here, there = what.get(name), others.get(name)
                if here != there:
                    raise UserError(
                        f"{name} differs between ranks: {here!r} on rank 0, {there!r} on rank "
                        f"{rank}",
                        remedy="start all ranks with one recipe and one version of the code, on "
                        "the same data",
                    )


def own_part(tensor: Tensor) -> Tensor:
    """What this rank has of a tensor: all, unless it is split over ranks."""
    local: Callable[[], Tensor] = getattr(tensor, "to_local", lambda: tensor)
    return local()


def part_of(like: Tensor, whole: Tensor) -> Tensor:
    """What of a whole tensor lies where this rank's part of one like it does."""
    mesh = getattr(like, "device_mesh", None)
    if mesh is None:
        return whole
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(like, DTensor)
    return distribute_tensor(whole.to(like.device), mesh, like.placements, src_data_rank=None)


def reshard(module: nn.Module) -> None:
    """Lets sharded modules drop the weights that a pass without gradients has gathered."""
    for part in module.modules():
        drop: Callable[[], None] | None = getattr(part, "reshard", None)
        if drop is not None:
            drop()
