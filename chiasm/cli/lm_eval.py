"""chiasm lm-eval: answer the tasks of lm-evaluation-harness with a trained model."""

from __future__ import annotations

import sys

import typer

from chiasm.cli.options import Trained
from chiasm.errors import UserError

TAKING = {"allow_extra_args": True, "ignore_unknown_options": True}


def lm_eval(run: Trained, context: typer.Context) -> None:
    """Answer the tasks of lm-evaluation-harness; what follows RUN are its own options.

    The same as its command ``lm-eval run --model chiasm --model_args pretrained=RUN``, which does
    not find models of other packages by itself.

    Examples:

      chiasm lm-eval RUN --tasks hellaswag,wikitext --batch_size 32

      chiasm lm-eval RUN --tasks mine --include_path my-tasks --output_path results
    """
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
    cli_evaluate()
