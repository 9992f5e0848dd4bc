"""chiasm lm-eval: answer the tasks of lm-evaluation-harness with a trained model."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import typer

from chiasm.cli.options import Trained
from chiasm.errors import UserError, first_line

TAKING = {"allow_extra_args": True, "ignore_unknown_options": True}

_NO_TASKS = ("Tasks not found", "No tasks specified")
"""How the harness's messages about ``--tasks`` begin."""


def lm_eval(run: Trained, context: typer.Context) -> None:
    """Answer the tasks of lm-evaluation-harness; what follows RUN are its own options.

    The same as its command ``lm-eval run --model chiasm --model_args pretrained=RUN``, which does
    not find models of other packages by itself.

    Examples:

      chiasm lm-eval RUN --tasks hellaswag,wikitext --batch_size 32

      chiasm lm-eval RUN --tasks mine --include_path my-tasks --output_path results
    """
    _check_tasks_folder(context.args)
    try:
        from lm_eval.__main__ import cli_evaluate

        import chiasm.harness.lm_eval  # noqa: F401  (registers the model)
    except ModuleNotFoundError as error:
        if error.name != "lm_eval":
            raise
        raise UserError(
            "lm-evaluation-harness is not installed", remedy='pip install "chiasm[harness]"'
        ) from error
    model = ["--model", "chiasm", "--model_args", f"pretrained={run}"]
    # Its own defaults are one request at a time on cuda:0, also where there is none.
    defaults = ["--device", "auto", "--batch_size", "auto"]
    sys.argv = ["lm-eval", "run", *model, *defaults, *context.args]
    try:
        cli_evaluate()
    except ValueError as error:
        if not str(error).startswith(_NO_TASKS):
            raise
        raise UserError(
            f"lm-evaluation-harness: {first_line(error).rstrip('.')}",
            remedy="give --tasks names that lm-eval ls tasks lists, or your own with "
            "--include_path FOLDER, where their .yaml files are",
        ) from error


def _check_tasks_folder(options: list[str]) -> None:
    """Refuses a folder of tasks that is not there, which the harness does not tell."""
    reader = argparse.ArgumentParser(add_help=False)
    reader.add_argument("--include_path", type=Path)
    folder = reader.parse_known_args(options)[0].include_path
    if folder is not None and not folder.is_dir():
        raise UserError(
            f"--include_path {folder} is no folder; give that of your tasks' .yaml files"
        )
