"""From losses to a trained model: a run that can be killed at any moment and goes on exactly.

Reading order, which is also the import order:

noise.py       noise and flow times, keyed by the row they belong to
objective.py   the losses of a packed batch, as sums and counts
optimiser.py   AdamW with two decay groups
schedule.py    learning rate as a function of the step
settings.py    how long and how a run trains
speed.py       what this machine can do at most
load.py        how evenly experts are used, by modality
tally.py       sums and counts as the named numbers that a run reports
metrics.py     JSON lines and TensorBoard
checkpoint.py  training state, written aside, renamed and verified
validation.py  the same held-out rows at the same noise levels
progress.py    what a run counts and tells, and how it ended
trainer.py     the loop
versions.py    what a run was made with
"""

from chiasm.training.objective import Losses, Objective, ObjectiveSettings
from chiasm.training.optimiser import OptimiserSettings
from chiasm.training.progress import Outcome, StepReport
from chiasm.training.schedule import ScheduleSettings
from chiasm.training.settings import TrainingSettings
from chiasm.training.trainer import Trainer
from chiasm.training.validation import Validation

__all__ = [
    "Losses",
    "Objective",
    "ObjectiveSettings",
    "OptimiserSettings",
    "Outcome",
    "ScheduleSettings",
    "StepReport",
    "Trainer",
    "TrainingSettings",
    "Validation",
]
