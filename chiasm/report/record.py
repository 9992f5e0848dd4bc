"""A report as JSON, for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel

from chiasm.report.doc import Commands


def json_text(record: Mapping[str, Any], indent: int | None = None) -> str:
    """Returns a record as JSON text."""
    return json.dumps(as_json(record), indent=indent, allow_nan=False) + "\n"


def folded(title: str, value: Any) -> Commands:
    """Returns a value as JSON on a page, folded away under a title."""
    return Commands(json.dumps(as_json(value), indent=2), title)


def as_json(value: Any) -> Any:
    """Returns a value as plain JSON types.

    Settings and dataclasses become objects and arrays lists, unless they have a ``to_json``; a
    number that is not finite, which JSON does not have, becomes null.
    """
    if hasattr(value, "to_json"):
        return as_json(value.to_json())
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if is_dataclass(value):
        return {each.name: as_json(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {name: as_json(item) for name, item in value.items()}
    if isinstance(value, np.ndarray):
        return as_json(value.tolist())
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
