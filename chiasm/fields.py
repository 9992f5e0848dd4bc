"""What a setting means and may be, in words: from its docstring and its bounds."""

from __future__ import annotations

import ast
import inspect
import re
from functools import cache

from pydantic.fields import FieldInfo

from chiasm.settings import Settings

_SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def meaning(settings: type[Settings], name: str) -> str:
    """Returns the docstring of a setting, as one line of Markdown."""
    where = home(settings, name)
    docstring = _docstrings(where).get(name)
    assert docstring, f"{where.__qualname__}.{name} has no docstring"
    return in_markdown(docstring)


def bounds(about: FieldInfo) -> str:
    """Returns the bounds of a setting, such as ``≥ 0 and < 1``; nothing where it has none."""
    return " and ".join(
        f"{sign} {getattr(each, bound)}"
        for each in about.metadata
        for bound, sign in _SIGNS.items()
        if hasattr(each, bound)
    )


def home(settings: type[Settings], name: str) -> type:
    """Returns the class, of these settings and their bases, that defines a setting."""
    return next(each for each in settings.__mro__ if name in inspect.get_annotations(each))


def in_markdown(docstring: str) -> str:
    """Returns a docstring as one line, with the marks of Markdown."""
    line = " ".join(docstring.split())
    return re.sub(r":\w+:`~?([^`]+)`", r"`\1`", line).replace("``", "`")


@cache
def _docstrings(settings: type) -> dict[str, str]:
    """Returns the literals that stand below the fields of a class, by field."""
    [body] = ast.parse(inspect.getsource(settings)).body
    assert isinstance(body, ast.ClassDef)
    return {
        field.target.id: text.value.value
        for field, text in zip(body.body, body.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }
