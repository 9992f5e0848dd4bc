"""The verbs of the command line, in the order in which a study uses them.

A verb is imported when it runs, so that the list of them needs no torch.

verbs.py       verbs that are imported when they run
progress.py    what the terminal shows while a run is prepared and trained
options.py     what several verbs read of the command line
choice.py      options that choose where a walk through a model's imagination begins
ranks.py       opens the ranks that torchrun started
data.py        chiasm data inspect: draw one packed row
vision.py      chiasm vision: make a tokenizer, measure it, encode pictures ahead of training
sound.py       chiasm sound: make a tokenizer
train.py       chiasm train: pretrain from a recipe
launch.py      chiasm launch: the same as a job of a Slurm cluster
rehearse.py    chiasm rehearse: what one rank would need, without a device
sample.py      chiasm sample: write, answer and draw with a trained model
starts.py      opens where such a walk begins
imagine.py     chiasm imagine: what scripts of actions lead to, as pictures
walk.py        chiasm walk: a page on which a model's imagination is walked through
demo.py        chiasm demo: a page on which a model is used
evaluate.py    chiasm evaluate: measure a run on held-out data and write its report
export.py      chiasm export: a trained model for others, and to a hub
plans.py       chiasm plan: to goal pictures, with the model and with the oracle
lm_eval.py     chiasm lm-eval: answer the tasks of lm-evaluation-harness
benchmarks.py  opens the run whose held-out captions are a picture benchmark
draw_benchmark.py   chiasm draw-benchmark: the pictures that a picture benchmark scores
score_benchmark.py  chiasm score-benchmark: its scores, read back or made here
experts.py     chiasm experts: what the routers of a mixture of experts learned
planning.py    chiasm scaling plan: an IsoFLOP study
scaling.py     chiasm scaling: fit what a study measured, forecast from it
cells.py       what a study's verbs show: its plan, its costs, the cells that run
study.py       chiasm study: compare runs that differ in one thing
report.py      chiasm report: the paper's findings beside what was measured here
recipes.py     chiasm recipes: those that come with the package
quickstart.py  chiasm quickstart: all of it on the embedded world
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from chiasm.cli.verbs import list_verb
from chiasm.errors import OtherRankError, RankLostError, UserError, found_at
from chiasm.imports import import_all
from chiasm.stop import Stopped, end_interrupted, tell

__all__ = ["MODULES", "VERBS", "app", "main"]

VERBS = {
    "quickstart": "Pretrain, use and report a small multimodal model on the embedded world.",
    "train": "Pretrain a model from a recipe; a run that was stopped or killed goes on where it "
    "was.",
    "launch": "Train a recipe as a job of a Slurm cluster, which goes on by itself after an "
    "interruption.",
    "rehearse": "What one rank would need for a training step: memory, messages, FLOPs, waits.",
    "sample": "Go on with a document: write, answer, draw, imagine the next view.",
    "imagine": "Imagine what scripts of actions or instructions lead to, all from one view.",
    "walk": "Serve a page on which W, A, S, D and words drive the model's imagination, view by "
    "view.",
    "demo": "Serve a page on which to write, draw, ask, go on and walk with a trained model.",
    "evaluate": "Measure a run on held-out data; writes report.html, report.json and overview.png "
    "into it.",
    "export": "Write a model for others: weights, tokenizers, recipe, card and checksums in one "
    "folder.",
    "plan": "Plan held-out scenes; writes plans.json, trajectories for evo and a sheet of each "
    "shown.",
    "experts": "What the routers learned, on held-out data; writes experts/atlas.html into the "
    "run.",
    "lm-eval": "Answer the tasks of lm-evaluation-harness; what follows RUN are its own options.",
    "draw-benchmark": "Draw the prompts of GenEval, GenEval 2, DPG-Bench, WISE or T2I-CompBench.",
    "score-benchmark": "Read a picture benchmark's scores into our table, with their errors and "
    "source.",
    "data": "The data stream.",
    "vision": "Vision tokenizers.",
    "sound": "Tokenizers of sound.",
    "study": "Comparisons: a TOML file in, a page out.",
    "scaling": "Scaling laws for each modality.",
    "report": "The paper's findings and the kept results.",
    "recipes": "The recipes that come with the package.",
}
"""Help of each verb in the list of verbs: the first words of the verb's own help."""

MODULES = {name: "plans" if name == "plan" else name.replace("-", "_") for name in VERBS}
"""Module of each verb."""

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


for name, told in VERBS.items():
    list_verb(app, name, MODULES[name], told)


def main() -> None:
    """Runs the command line; a user's mistake prints one message and exits with status 2.

    Work that a signal stopped prints a message and exits with the shell's status of that signal.
    """
    try:
        app()
    except UserError as error:
        print(f"chiasm: {error}", file=sys.stderr)
        sys.exit(2)
    except OtherRankError as error:
        sys.exit(2 if error.mistake else 1)
    except RankLostError as error:
        print(f"chiasm: {error}", file=sys.stderr)
        sys.exit(1)
    except Stopped as stopped:
        tell(stopped)
        sys.exit(128 + stopped.signal)
    except SystemExit as ended:
        if ended.code == 128 + signal.SIGINT:  # typer makes it of an interrupt, and says nothing
            end_interrupted()
        raise
