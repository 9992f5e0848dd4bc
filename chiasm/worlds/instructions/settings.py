"""Numbers and lengths of instructed walks."""

from __future__ import annotations

from pydantic import Field, field_validator

from chiasm.settings import Settings

INSTRUCTIONS = "instructions"
"""Name of the task."""


class InstructionSettings(Settings):
    """How many instructed walks each map of the embedded world has, and how long they are."""

    walks_per_map: int = Field(24, ge=1)
    """Walks of the expert through each map, one instruction each."""
    steps: tuple[int, int] = (2, 8)
    """Fewest and most steps from an instruction to its goal."""
    views: int | None = Field(None, ge=2)
    """Of a document, the first of them given: a stretch of so many on the way (the whole of a
    shorter walk); None: the whole way."""

    @field_validator("steps")
    @classmethod
    def _check_steps(cls, value: tuple[int, int]) -> tuple[int, int]:
        # Within these bounds every map has goals: it takes five steps to turn around.
        if not (1 <= value[0] <= 4 and 5 <= value[1] <= 40):
            raise ValueError(
                f"steps = {value} must be two numbers: fewest from 1 to 4, most from 5 to 40"
            )
        return value
