"""Registries of settings classes by their ``kind``, open to new ones.

    SOURCES = Registry[SourceSettings]("source")

    @SOURCES.register
    class TextSettings(SourceSettings):
        kind: Literal["text"] = "text"

A field of type ``Annotated[SourceSettings, SOURCES]`` is then validated by the class that the
value's ``kind`` names, and dumped with all of that class's settings. Classes that third-party
modules register are equal to those of this package; a recipe names such modules in ``imports``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from pydantic import GetCoreSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from chiasm.errors import SettingsError
from chiasm.settings import Settings

Base = TypeVar("Base", bound=Settings)


class Registry(Generic[Base]):
    """Settings classes by the default of their field ``kind``.

    Args:
        what: noun in messages, as in ``'x' is no kind of source``.
        default: kind of a table that names none; empty: it must name one.
    """

    def __init__(self, what: str, default: str = "") -> None:
        self.what, self.default = what, default
        self._classes: dict[str, type[Base]] = {}

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of the kinds, in the order of registration."""
        return tuple(self._classes)

    def register(self, settings: type[Base]) -> type[Base]:
        """Adds a class under its ``kind``; a class decorator.

        Raises:
            ValueError: another class has the kind already.
        """
        kind = str(settings.model_fields["kind"].default)
        before = self._classes.setdefault(kind, settings)
        same = (before.__module__, before.__qualname__)
        if same != (settings.__module__, settings.__qualname__):
            raise ValueError(
                f"{self.what} {kind!r} is registered by {before.__module__} already; choose "
                "another kind"
            )
        self._classes[kind] = settings
        return settings

    def of(self, kind: str) -> type[Base]:
        """Returns the class of a kind.

        Raises:
            SettingsError: no class has it.
        """
        if kind not in self._classes:
            raise SettingsError(
                f"is no kind of {self.what}",
                setting="kind",
                value=kind,
                remedy=f"choose one of {', '.join(self.kinds)}, or import the module that "
                "registers it: imports of a recipe, chiasm --import MODULE before a verb",
            )
        return self._classes[kind]

    def class_of(self, table: Any) -> type[Base] | None:
        """Returns the class that a table's ``kind`` names; None if it names no registered one."""
        table = {} if table is None else table
        kind = table.get("kind", self.default) if isinstance(table, Mapping) else None
        return self._classes.get(kind) if isinstance(kind, str) else None

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(
            self._validate,
            serialization=core_schema.plain_serializer_function_ser_schema(
                _dumped, info_arg=True, return_schema=core_schema.dict_schema()
            ),
        )

    def _validate(self, value: Any, info: ValidationInfo) -> Base:
        if isinstance(value, Settings):
            if type(value) in self._classes.values():
                return value  # type: ignore[return-value]
            value = value.model_dump()
        if not isinstance(value, Mapping):
            raise PydanticCustomError("table", "Input should be a table of settings")
        kind = value.get("kind", self.default)
        if not kind:
            known = ", ".join(self.kinds)
            raise SettingsError("is missing", setting="kind", remedy=f"choose one of {known}")
        return validated(self.of(kind), value, info)


def validated(settings: type[Base], value: Mapping[str, Any], info: ValidationInfo) -> Base:
    """Returns a table as settings, validated in the mode of its surroundings."""
    if info.mode == "json":  # lists as tuples, strings as paths, and strict all the same
        return settings.model_validate_json(json.dumps(value), strict=True)
    return settings.model_validate(value)


def _dumped(value: Settings, info: core_schema.SerializationInfo) -> dict[str, Any]:
    """Returns settings as a table that always has its ``kind``, even without other defaults."""
    content = value.model_dump(
        mode=info.mode, exclude_none=info.exclude_none, exclude_defaults=info.exclude_defaults
    )
    kind = type(value).model_fields.get("kind")
    return {"kind": kind.default, **content} if kind else content
