"""Pickled arrays read without running anything that the file asks for.

A pickle is a program: it may name any function and have it called. Here the names that arrays need
resolve to the small classes below, which take numbers and bytes alone; every other name is
refused, and nothing is imported. Numbers, texts, lists, tuples, sets and dictionaries need no name.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import re
from pathlib import Path
from typing import Any

import numpy as np

from chiasm.errors import UserError

_NUMBER_TYPES = re.compile(r"[<>=|]?(b1|[iu][1248]|f[248])")


def read_pickle(path: Path) -> Any:
    """Returns the content of a pickle of numpy arrays of numbers and of plain containers.

    Arrays are objects that ``numpy.asarray`` accepts.

    Raises:
        UserError: it names anything else, is damaged, or cannot be read.
    """
    try:
        content = path.read_bytes()
        _refuse_large(content)
        return _ArrayUnpickler(io.BytesIO(content), encoding="latin1").load()
    except UserError as error:
        raise UserError(
            f"{path} is refused: {error}. Only numpy arrays of numbers, numbers, texts, lists and "
            "dictionaries are read from a pickle; do not trust the file, or write it as JSON"
        ) from error
    except Exception as error:  # broken bytes raise almost anything
        raise UserError(
            f"{path} cannot be read as a pickle ({error}); write it again, or as JSON"
        ) from error


def _refuse_large(content: bytes) -> None:
    """Refuses a program that has memory set aside for more objects than its bytes can name."""
    for operation, argument, _ in pickletools.genops(content):
        if operation.name in ("PUT", "LONG_BINPUT") and int(str(argument)) > len(content):
            raise UserError("it has more objects than bytes")


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Returns the stand-in for a name that arrays need."""
        known = _STAND_INS.get((module.replace("numpy._core", "numpy.core"), name))
        if known is None:
            raise UserError(f"it asks for {module}.{name}")
        return known


class _NumberType:
    """Stand-in for numpy.dtype."""

    def __init__(self, code: str, *_: Any) -> None:
        if not _NUMBER_TYPES.fullmatch(code):
            raise UserError(f"it has an array of type {code!r}")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """Stand-in for numpy.ndarray."""

    values = np.zeros(0)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, number_type, fortran, data = state
        self.values = _from_buffer(data, number_type, shape, "F" if fortran else "C").values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.values.astype(dtype or self.values.dtype)


def _reconstruct(*_: Any) -> _Array:
    """Returns an empty array, which ``__setstate__`` fills."""
    return _Array()


def _from_buffer(
    data: bytes | str, number_type: _NumberType, shape: tuple[int, ...], order: Any
) -> _Array:
    array = _Array()
    raw = data.encode("latin1") if isinstance(data, str) else bytes(data)
    array.values = np.frombuffer(raw, number_type.dtype).reshape(shape, order=order)
    return array


def _scalar(number_type: _NumberType, data: bytes | str) -> float | int:
    """Returns a Python number: integers stay exact, such as times in ns that no float holds."""
    return _from_buffer(data, number_type, (), "C").values.item()


def _bytes(text: str, encoding: str) -> bytes:
    """Returns bytes from their form in protocols before 3."""
    return text.encode("latin1")


_STAND_INS: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _NumberType,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("_codecs", "encode"): _bytes,
}
