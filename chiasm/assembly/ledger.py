"""What the operations of a step allocate, send and wait for, written down as they are dispatched.

It is meant for tensors without memory (torch's FakeTensorMode): nothing is computed, but shapes,
lifetimes and collectives are those of a step.
"""

from __future__ import annotations

import sys
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
)
from torch.distributed.tensor import DTensor
from torch.distributed.tensor._sharding_prop import ShardingPropagator
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry
from torch.utils.weak import WeakIdKeyDictionary

from chiasm.errors import UserError

PACKAGE = Path(__file__).parents[1]

_aten = torch.ops.aten

COLLECTIVES: dict[str, tuple[str, int | None]] = {
    "c10d._allgather_base_": ("all-gather", 0),
    "c10d._reduce_scatter_base_": ("reduce-scatter", 1),
    "c10d.allreduce_": ("all-reduce", 0),
    "c10d.alltoall_base_": ("all-to-all", 1),
    "_c10d_functional.all_gather_into_tensor": ("all-gather", None),
    "_c10d_functional.reduce_scatter_tensor": ("reduce-scatter", 0),
    "_c10d_functional.all_reduce": ("all-reduce", 0),
    "_c10d_functional.all_reduce_": ("all-reduce", 0),
    "_c10d_functional.all_to_all_single": ("all-to-all", 0),
}
"""Kind of each operation, and the argument that is the whole of what travels; None: its result."""


NAMES = {
    _aten._local_scalar_dense.default: "item",
    _aten.equal.default: "equal",
    _aten.nonzero.default: "nonzero",
    _aten.masked_select.default: "masked_select",
    _aten.index.Tensor: "boolean index",
    _aten.repeat_interleave.Tensor: "repeat_interleave",
}
"""What the operations that wait are called."""

HOST = torch.device("meta")
"""Where copies to the host lie, to tell them from what is on the planned device."""


class Place(NamedTuple):
    """A line of code that calls an operation."""

    file: str
    """Path inside the package, or as it is where that is not on the way."""
    line: int
    operation: str


class Traffic(NamedTuple):
    """Collectives of one kind."""

    calls: int
    bytes: int
    """Of the whole tensors that travel: an all-gather's result, what others take in."""


class Ledger(TorchDispatchMode):
    """The storages that are alive, what was sent, and where the host would have waited.

    Numbers that the host asks for are those of the tensors in ``known``, else stand in as 1, and
    positions that a mask chooses as all of them, so that the step goes on.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live_bytes = self.peak_bytes = 0
        self.phase = self.peak_phase = ""
        self.product_flops = 0
        """Of matrix products, as torch counts them, operation by operation."""
        self.waits: Counter[tuple[str, Place]] = Counter()
        """By the phase and the place."""
        self._sent: Counter[str] = Counter()
        self._sent_bytes: Counter[str] = Counter()
        self._storages: dict[int, tuple[weakref.ref[Any], int]] = {}
        self.known: WeakIdKeyDictionary = WeakIdKeyDictionary()
        """Ordinary tensors, by those without memory that were made of them."""
        self._paused = False

    @contextmanager
    def open(self) -> Iterator[None]:
        """Writes down what is dispatched inside."""
        with ExitStack() as stack:
            stack.enter_context(self._resizing())
            stack.enter_context(self._without_propagation())
            stack.enter_context(self._reading())
            stack.enter_context(_Copies(self))
            stack.enter_context(self)
            yield

    @contextmanager
    def during(self, phase: str) -> Iterator[None]:
        """Names the part of a step that is inside."""
        before, self.phase = self.phase, phase
        try:
            yield
        finally:
            self.phase = before

    @property
    def traffic(self) -> dict[str, Traffic]:
        """Collectives by their kind."""
        return {kind: Traffic(self._sent[kind], self._sent_bytes[kind]) for kind in self._sent}

    def hold(self, tensors: Iterable[Tensor]) -> None:
        """Counts the storages of tensors, as long as they live."""
        for tensor in tensors:
            storage = tensor.untyped_storage()
            if tensor.device != HOST and id(storage) not in self._storages:
                key = id(storage)
                there = weakref.ref(storage, lambda _, key=key: self._set(key, None))  # type: ignore[misc]
                self._storages[key] = there, 0
                self._set(key, storage.nbytes())

    def wait(self, operation: str) -> None:
        """Writes down that the host waits here."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and not _is_cause(Path(frame.f_code.co_filename)):
            frame = frame.f_back
        file, line = ("", 0) if frame is None else (frame.f_code.co_filename, frame.f_lineno)
        inside = PACKAGE in Path(file).parents
        told = str(Path(file).relative_to(PACKAGE)) if inside else file
        self.waits[self.phase, Place(told, line, operation)] += 1

    def numbers(self, tensor: Tensor) -> np.ndarray:
        """Returns what the host reads of a tensor."""
        if (known := self.known.get(tensor)) is not None:
            with _disable_current_modes():
                return known.numpy()
        return np.ones(tensor.shape, np.float64 if tensor.is_floating_point() else np.int64)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if any(issubclass(each, DTensor) for each in types):
            return NotImplemented  # its parts come here one by one
        kwargs = kwargs or {}
        if self._paused:
            return func(*args, **kwargs)
        if (stand_in := _stand_in(func, args, kwargs)) is not None:
            if args[0].device != HOST:
                self.wait(NAMES.get(func, str(func)))
            out = stand_in()
        else:
            try:
                out = func(*args, **kwargs)
            except (DataDependentOutputException, DynamicOutputShapeException) as error:
                self.wait(str(func))
                [*_, (_, last)] = self.waits
                told = f"{last.file}:{last.line}: what {func} gives depends on data"
                raise UserError(told, remedy="do without it, or give its output size") from error
        self.hold(each for each in tree_leaves(out) if isinstance(each, Tensor))
        self._count(func, args, kwargs, out)
        return out

    def _count(self, func: Any, args: tuple[Any, ...], kwargs: Any, out: Any) -> None:
        packet = func._overloadpacket
        if packet in flop_registry:
            self.product_flops += flop_registry[packet](*args, **kwargs, out_val=out)
        elif packet is _aten._grouped_mm:
            rows, columns = args[0].shape
            self.product_flops += 2 * rows * columns * args[1].shape[-1]
        kind, place = COLLECTIVES.get(str(packet), ("", None))
        if kind:
            whole = tree_leaves(out if place is None else args[place])
            self._sent[kind] += 1
            self._sent_bytes[kind] += sum(each.numel() * each.element_size() for each in whole)

    def _set(self, key: int, size: int | None) -> None:
        """Takes over a storage's size; None: it is gone."""
        there, before = self._storages[key]
        self.live_bytes += (size or 0) - before
        if size is None:
            del self._storages[key]
        else:
            self._storages[key] = there, size
        if self.live_bytes > self.peak_bytes:
            self.peak_bytes, self.peak_phase = self.live_bytes, self.phase

    @contextmanager
    def _resizing(self) -> Iterator[None]:
        """Hears of storages that are emptied and filled again, as FSDP2 does with gathered weights;
        no operation is dispatched for it."""
        resize = torch.UntypedStorage.resize_

        def heard(storage: torch.UntypedStorage, size: int) -> Any:
            found = resize(storage, size)
            if id(storage) in self._storages:
                self._set(id(storage), storage.nbytes())
            return found

        with patch.object(torch.UntypedStorage, "resize_", heard):
            yield

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Hears of lists, which would be read number by number."""

        def heard(tensor: Tensor) -> Any:
            if tensor.device != HOST:
                self.wait("tolist")
            return self.numbers(tensor).tolist()

        with patch.object(FakeTensor, "tolist", heard):
            yield

    @contextmanager
    def _without_propagation(self) -> Iterator[None]:
        """Passes over what DTensor tries on whole shapes to learn how a result is split."""
        with patch.object(ShardingPropagator, "_fake_mode_lock", self._pause()):
            yield

    def _pause(self) -> Any:
        ledger = self

        class Pause:
            def __enter__(self) -> None:
                ledger._paused = True

            def __exit__(self, *_: object) -> None:
                ledger._paused = False

        return Pause()


class _Copies(TorchFunctionMode):
    """Hears of copies to the host, which are no operation where the device is planned."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self.ledger = ledger

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        planned = bool(args) and isinstance(args[0], FakeTensor)
        if planned and func is Tensor.cpu:
            self.ledger.wait("cpu")
            copy = torch.empty_like(args[0], device=HOST)
            if (known := self.ledger.known.get(args[0])) is not None:
                self.ledger.known[copy] = known
            return copy
        if planned and func is Tensor.numpy:  # of what was copied before
            return self.ledger.numbers(args[0])
        return func(*args, **(kwargs or {}))


def _stand_in(func: Any, args: tuple[Any, ...], kwargs: Any) -> Callable[[], Any] | None:
    """What gives the result of an operation that would wait for its data; None: it does not."""
    if func is _aten._local_scalar_dense.default:
        return lambda: 1.0 if args[0].is_floating_point() else args[0].dtype == torch.bool or 1
    if func is _aten.equal.default:
        return lambda: True
    if func is _aten.nonzero.default:
        return lambda: _all(args[0])
    if func is _aten.masked_select.default:
        return lambda: args[0].new_empty(args[0].numel())
    if func is _aten.index.Tensor and any(_is_mask(own) for own in args[1]):
        return lambda: func(args[0], _places(args[1]))
    if func is _aten.repeat_interleave.Tensor and kwargs.get("output_size") is None:
        return lambda: func(args[0], output_size=args[0].numel())
    return None


def _all(mask: Tensor) -> Tensor:
    return mask.new_zeros((mask.numel(), mask.ndim), dtype=torch.int64)


def _is_mask(index: Tensor | None) -> bool:
    return index is not None and index.dtype in (torch.bool, torch.uint8)


def _places(indices: Iterable[Tensor | None]) -> list[Tensor | None]:
    """The same without masks: all positions of each."""
    places: list[Tensor | None] = []
    for own in indices:
        places += _all(own).unbind(1) if own is not None and _is_mask(own) else [own]
    return places


def _is_cause(file: Path) -> bool:
    """Whether a file is neither torch nor part of the rehearsal."""
    return not {Path(torch.__file__).parent, Path(__file__).parent} & {*file.parents}
