"""chiasm export: a trained model as a folder for others, and to a hub."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from chiasm.cli.options import Trained, overrides
from chiasm.errors import UserError


def export(
    run: Trained,
    out: Annotated[Path, typer.Argument(help="The folder that is written.")],
    license_: Annotated[
        str, typer.Option("--license", help="License of the model, such as apache-2.0.")
    ] = "",
    set_: Annotated[list[str] | None, overrides("stream.sources.photos.license=cc-by-4.0")] = None,
    push: Annotated[
        str, typer.Option(metavar="OWNER/NAME", help="Write it to this model of the hub as well.")
    ] = "",
    private: Annotated[
        bool, typer.Option("--private", help="Make the hub's model private, if it is new.")
    ] = False,
) -> None:
    """Write a model for others: weights, tokenizers, recipe, card and checksums in one folder.

    chiasm.load opens the folder, and the hub's model by its name. Nothing in it names a path or a
    user of this machine. Of the run's settings, --set may still tell the licenses of its data.
    """
    if push and not re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", push):
        raise UserError(f"--push {push}: write OWNER/NAME")
    # Imports torch: mistakes on the command line come before.
    from chiasm.assembly.export import CARD, export_run
    from chiasm.hub import LICENSES, upload

    export_run(run, out, set_ or [], license=license_, name=push)
    print(f"the model is in {out}; {out / CARD} is its card")
    if not license_:
        print("it tells no license: --license gives one")
    elif license_ not in LICENSES:
        print(f"the hub knows no license {license_!r}: give an id such as apache-2.0, or other")
    if push:
        print(f"it is on the hub: {upload(out, push, private=private)}")
