"""The verbs of the command line, in the order in which a study uses them.

progress.py    what the terminal shows while a run is prepared and trained
options.py     options that several verbs read
data.py        chiasm data inspect: draw one packed row
vision.py      chiasm vision: make a tokenizer, measure it, encode pictures ahead of training
train.py       chiasm train: pretrain from a recipe
sample.py      chiasm sample: write, answer and draw with a trained model
starts.py      where a walk through a model's imagination begins
imagine.py     chiasm imagine: what scripts of actions lead to, as pictures
walk.py        chiasm walk: a page on which a model's imagination is walked through
evaluate.py    chiasm evaluate: measure a run on held-out data and write its report
plans.py       chiasm plan: to goal pictures, with the model and with the oracle
experts.py     chiasm experts: what the routers of a mixture of experts learned
planning.py    chiasm scaling plan: an IsoFLOP study
scaling.py     chiasm scaling: fit what a study measured, forecast from it
study.py       chiasm study: compare runs that differ in one thing
report.py      chiasm report: the paper's findings beside what was measured here
quickstart.py  chiasm quickstart: all of it on the embedded world
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from chiasm.cli.data import app as data
from chiasm.cli.evaluate import evaluate
from chiasm.cli.experts import experts
from chiasm.cli.imagine import imagine
from chiasm.cli.plans import plan
from chiasm.cli.quickstart import quickstart
from chiasm.cli.report import app as report
from chiasm.cli.sample import sample
from chiasm.cli.scaling import app as scaling
from chiasm.cli.study import app as study
from chiasm.cli.train import train
from chiasm.cli.vision import app as vision
from chiasm.cli.walk import walk
from chiasm.errors import UserError, found_at
from chiasm.imports import import_all
from chiasm.stop import Stopped

__all__ = ["app", "main"]

app = typer.Typer(
    name="chiasm",
    help="One decoder-only transformer, pretrained from scratch on text, images, video, actions.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def imports(
    import_: Annotated[
        list[str] | None,
        typer.Option(
            "--import",
            metavar="MODULE",
            help="Import a module, or a file that ends in .py, first: it registers kinds that a "
            "saved model needs (a recipe names them itself). Repeatable.",
        ),
    ] = None,
) -> None:
    """Imports what the user names before a verb begins."""
    with found_at("--import"):
        import_all(import_ or [], Path.cwd())


app.command("quickstart")(quickstart)
app.command("train")(train)
app.command("sample")(sample)
app.command("imagine")(imagine)
app.command("walk")(walk)
app.command("evaluate")(evaluate)
app.command("plan")(plan)
app.command("experts")(experts)
app.add_typer(data, name="data")
app.add_typer(vision, name="vision")
app.add_typer(study, name="study")
app.add_typer(scaling, name="scaling")
app.add_typer(report, name="report")


def main() -> None:
    """Run the command line; a user's mistake prints one message and exits with status 2.

    Work that a signal stopped says so and exits as a shell reports that signal.
    """
    try:
        app()
    except UserError as error:
        print(f"chiasm: {error}", file=sys.stderr)
        sys.exit(2)
    except Stopped as stopped:
        print(f"chiasm: {stopped}", file=sys.stderr)
        sys.exit(128 + stopped.signal)
