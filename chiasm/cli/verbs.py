"""Verbs that are imported when they run: a list of them needs nothing of what they need."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand


def list_verb(app: typer.Typer, name: str, module: str, told: str) -> None:
    """Adds a verb to a list.

    Args:
        app: the list.
        name: the verb.
        module: where it is, beside this file.
        told: the first paragraph of its own help.
    """

    class Listed(TyperCommand):
        """Stands for the verb, which takes its place once arguments are parsed."""

        def make_context(self, *args: Any, **more: Any) -> Any:
            """Returns the context of the verb itself."""
            return load_verb(name, module).make_context(*args, **more)

    app.command(name, cls=Listed, help=told)(lambda: None)


def load_verb(name: str, module: str) -> Any:
    """Returns a verb's command; one with verbs of its own is a group of commands."""
    found = import_module(f"chiasm.cli.{module}")
    alone = typer.Typer()
    if hasattr(found, "app"):
        alone.add_typer(found.app, name=name)
    else:
        alone.command(name)(getattr(found, name))
    return typer.main.get_group(alone).commands[name]
