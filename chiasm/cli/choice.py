"""The options that choose where a walk through a model's imagination begins."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from chiasm.errors import SettingsError, UserError
from chiasm.settings import Settings


class Choice(Settings):
    """A held-out view or a picture; without either, a view with an open way ahead."""

    map: int | None = Field(None, ge=0)
    """Begin on this held-out map."""
    view: int | None = Field(None, ge=0)
    """And with this view of it."""
    image: Path | None = None
    """Begin with a picture file."""

    @model_validator(mode="after")
    def _check(self) -> Choice:
        for option, value in (("--map", self.map), ("--view", self.view)):
            if value is not None and self.image is not None:
                two = f"{option} {value} and --image {self.image} are two starts"
                raise SettingsError(two, remedy="give one")
        if self.view is not None and self.map is None:
            raise SettingsError(f"--view {self.view} is a view of a map", remedy="give its --map")
        return self


FIRST = Choice()


def read_picture(option: str, path: Path) -> bytes:
    """Returns the content of a file that an option gives.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{option} {path} cannot be read: {error.strerror}") from error
