"""Verbs that are imported when they run, so that listing them imports nothing else."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand


def list_verb(app: typer.Typer, name: str, module: str, told: str) -> None:
    """Adds a verb to a list.

    Args:
        app: list of verbs.
        name: name of the verb.
        module: its module in this folder.
        told: first paragraph of its own help.
    """

    class Listed(TyperCommand):
        """Placeholder of the verb, which replaces it when arguments are parsed."""

        def make_context(self, *args: Any, **more: Any) -> Any:
            """Returns the context of the verb itself."""
            return load_verb(name, module).make_context(*args, **more)

    app.command(name, cls=Listed, help=told)(lambda: None)


def load_verb(name: str, module: str) -> Any:
    """Returns a verb's command; one with verbs of its own is a group of commands.

    ``TAKING`` of its module says how the command line is read, where another program reads a part.
    """
    found = import_module(f"chiasm.cli.{module}")
    alone = typer.Typer()
    if hasattr(found, "app"):
        alone.add_typer(found.app, name=name)
    else:
        taking = getattr(found, "TAKING", None)
        alone.command(name, context_settings=taking)(getattr(found, name.replace("-", "_")))
    return typer.main.get_group(alone).commands[name]
