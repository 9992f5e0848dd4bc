"""What is written while a run trains, for those who look at it before its end.

model/          the model, as often as ``training.model_every_steps``
best/           the model at the lowest validation loss that ``training.keep_best`` names
evaluations/    reports by step, as often as ``training.evaluate_every_steps``, their rows as
                lines of metrics.jsonl and as curves of TensorBoard
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from chiasm.assembly.measured import write_evaluation
from chiasm.assembly.objects import Run
from chiasm.data.preparation import silent
from chiasm.errors import UserError
from chiasm.evaluation.material import Material
from chiasm.evaluation.settings import MEASURES
from chiasm.loop.metrics import MetricsLog, read_metrics
from chiasm.loop.progress import StepReport
from chiasm.recipe import Recipe

LOSSES = ("loss", "text_loss", "flow_loss", "inner_loss", "balance_loss", "router_z_loss")
"""Of a validation; each may be of a source (``text_loss/stories``), of a stream beside pictures
(``sound/flow_loss``) or of the averaged weights (``average/text_loss``)."""


def refuse_unknown_names(recipe: Recipe) -> None:
    """Refuses sections that no measure has, and a loss that no validation has.

    Raises:
        UserError: names it, and those that there are.
    """
    training = recipe.training
    known = [measure.section for measure in MEASURES]
    for section in training.evaluated:
        if section not in known:
            why, remedy = "is no section of a report", f"choose from {', '.join(known)}"
            raise UserError(why, setting="training.evaluated", value=section, remedy=remedy)
    if training.keep_best is None:
        return
    if training.validation_batches == 0:
        why = "needs a validation, and training.validation_batches is 0"
        raise training.error("keep_best", why, "validate on some").under("training")
    of = {*recipe.stream.sources, *recipe.streams, "average"}
    parts = training.keep_best.split("/")
    if sum(part in LOSSES for part in parts) != 1 or not {*parts} <= {*LOSSES, *of}:
        remedy = f"choose {', '.join(LOSSES)}, or one of them / a source"
        raise training.error("keep_best", "is no loss of a validation", remedy).under("training")


@dataclass
class Watch:
    """Called after each step of a run, by all of its ranks."""

    run: Run
    folder: Path
    material: Material
    command: str
    tell: Callable[[str], None]

    def __call__(self, report: StepReport) -> None:
        """Writes what is due at this step.

        Raises:
            UserError: the folder cannot be written.
        """
        settings, step = self.run.recipe.training, report.step
        evaluates = _is_due(step, settings.evaluate_every_steps)
        if evaluates or _is_due(step, settings.model_every_steps):
            self.run.save_model(self.folder / "model")
        if settings.keep_best is not None and report.validation:
            self._keep_best(settings.keep_best, report)
        if evaluates:
            ranks = self.run.trainer.ranks
            ranks.at_rest()  # the next step begins when the first of them has evaluated
            with ranks.together():
                if ranks.is_first:
                    self._evaluate(step)

    def _keep_best(self, name: str, report: StepReport) -> None:
        loss = report.validation.get(name)  # a validation may hold no target of a source
        if loss is not None and loss < self._lowest:
            self._lowest = loss
            self.run.save_model(self.folder / "best")
            self.tell(f"step {report.step}: the lowest {name} so far, {loss:.4g}; kept in best/")

    @cached_property
    def _lowest(self) -> float:
        """The lowest loss before this call of the command: lines up to the checkpoint are kept."""
        begun, name = self.run.trainer.progress.step, self.run.recipe.training.keep_best or ""
        return min(
            (
                line[name]
                for line in read_metrics(self.folder / "metrics.jsonl")
                if line["phase"] == "validation" and line["step"] < begun and line.get(name)
            ),
            default=float("inf"),
        )

    def _evaluate(self, step: int) -> None:
        into = self.folder / "evaluations" / f"step-{step:07d}"
        into.mkdir(parents=True, exist_ok=True)
        evaluation, _ = write_evaluation(
            self.folder,
            self.run.recipe,
            self.material,
            into=into,
            sections=self.run.recipe.training.evaluated,
            command=self.command,
            tell=self.tell,
            on_section=silent,
        )
        rows = {f"{row.section}/{row.name}": row.value for row in evaluation.rows}
        with closing(MetricsLog(self.folder / "evaluations", step - 1)) as log:
            log.write("evaluation", step, rows, {})
        if self.run.trainer.tracker is not None:
            self.run.trainer.tracker.write("evaluation", step, rows)


def _is_due(step: int, every: int | None) -> bool:
    return every is not None and step % every == 0
