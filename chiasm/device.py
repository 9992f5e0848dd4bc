"""Device, precision and determinism of a step."""

from __future__ import annotations

import ctypes
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch

from chiasm.errors import UserError

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of malloc.h

_planned: str | None = None


@contextmanager
def planned_for(kind: str) -> Iterator[None]:
    """Lets code that asks :func:`kind_of` take the way of a device that is not there: for tensors
    without memory, of which only shapes are wanted."""
    global _planned
    before, _planned = _planned, kind
    try:
        yield
    finally:
        _planned = before


def kind_of(tensor: torch.Tensor) -> str:
    """Returns the type of the device that a tensor is computed on, such as cuda."""
    return _planned or tensor.device.type


def choose_device(name: str) -> torch.device:
    """Returns the device of that name; ``auto`` is CUDA if available, else CPU.

    Raises:
        UserError: CUDA is requested and not available, or there is no device of that name.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(
            ": torch sees no CUDA device", setting="device", value=name, remedy="use auto or cpu"
        )
    try:
        return torch.device(name)
    except RuntimeError as error:
        remedy = "use auto, cpu, cuda or cuda:1"
        raise UserError("is not known", setting="device", value=name, remedy=remedy) from error


def matmul_dtype(
    device: torch.device, precision: Literal["auto", "float32", "bfloat16"]
) -> torch.dtype:
    """Returns the dtype of matrix products; ``auto`` is bfloat16 on CUDA and float32 on CPU."""
    if precision == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]


def processor() -> str:
    """The name of the graphics processor, or where there is none of the CPU."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "")


def return_freed_memory(device: torch.device) -> None:
    """Gives the system back what this process has freed on a CPU, where glibc would keep it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if device.type == "cpu" and trim is not None:
        trim(0)


def keep_freed_memory(device: torch.device) -> None:
    """Let the process keep what a step on a CPU frees, for the next step.

    glibc gives large pieces back to the system at once, and every step pays for the same pages
    anew. Other C libraries are left as they are.
    """
    change = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if device.type == "cpu" and change is not None:
        change(_M_TRIM_THRESHOLD, -1)  # never
        change(_M_MMAP_MAX, 0)  # large pieces too come from what is kept


@contextmanager
def deterministic_on_cpu(device: torch.device) -> Iterator[None]:
    """Makes results bit-equal for equal inputs and thread counts on CPU; no effect elsewhere."""
    before = torch.are_deterministic_algorithms_enabled()
    memory: Any = torch.utils.deterministic
    filled_before = memory.fill_uninitialized_memory
    if device.type == "cpu":
        torch.use_deterministic_algorithms(True)
        memory.fill_uninitialized_memory = False  # costs time, and equal bits do not need it
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        memory.fill_uninitialized_memory = filled_before


def synchronise(device: torch.device) -> None:
    """Waits until a CUDA device has finished its work; returns at once on CPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
