"""The base of every component's settings."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pydantic import BaseModel, ConfigDict

from chiasm.errors import SettingsError, UserError, origin, setting


class Settings(BaseModel):
    """Base of all settings: frozen; an unknown name is an error, and so is an infinite number.

    Each component defines its own subclass beside the code that reads it;
    :mod:`chiasm.recipe` composes them into one recipe.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False
    )

    def error(self, name: str, why: str, remedy: str = "") -> SettingsError:
        """Returns the error for a wrong setting ``name`` (dotted), with its present value."""
        value = self._value(name)
        told = {} if value is None or isinstance(value, Settings | Mapping) else {"value": value}
        return SettingsError(why, setting=name, remedy=remedy, **told)

    @contextmanager
    def calling(self, method: str) -> Iterator[None]:
        """Turns failures of a user's own code in ``method`` into errors with kind and line.

        A failure without a line of the user's code is a defect of chiasm and keeps its traceback.
        """
        try:
            yield
        except (UserError, OSError):
            raise
        except Exception as error:
            if not (line := origin(error)):
                raise
            told = f"{type(self).__name__}.{method}: {type(error).__name__}: {error}{line}"
            raise self.error("kind", f"fails in {told}", "mend it") from error

    def assigned(self, name: str) -> str:
        """Returns ``name = value``, for use in a reason or a remedy."""
        return f"{setting(name)} = {self._value(name)!r}"

    def _value(self, name: str) -> Any:
        value: Any = self
        for part in name.split("."):
            value = value[part] if isinstance(value, Mapping) else getattr(value, part)
        return value
