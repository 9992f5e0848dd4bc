"""``chiasm train`` with a fault on rank 1 at its third step.

python faulty.py FAULT ARGUMENTS
"""

import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch

from chiasm.cli import main
from chiasm.errors import UserError
from chiasm.training.trainer import Trainer

STEP = 3


def fails(fault: str, trainer: Trainer) -> Any:
    if trainer.progress.step < STEP or trainer.ranks.rank != 1:
        return
    if fault == "full":
        out = Path(sys.argv[sys.argv.index("--out") + 1])
        while not (out / "checkpoints" / f"step-{STEP - 1:07d}").exists():
            time.sleep(0.01)  # it is written in the background
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, 1_000))
    if fault == "hangs":
        time.sleep(1000)
    if fault == "mistake":
        raise UserError("the third document is broken")
    if fault == "defect":
        raise ZeroDivisionError("the third document is odd")
    if fault == "nan" and trainer.progress.step == STEP:
        trainer.decoder.final_norm.gain.register_hook(lambda grad: grad * torch.nan)


def faulty(fault: str) -> None:
    read = Trainer.read

    def broken(trainer: Trainer) -> Any:
        fails(fault, trainer)
        return read(trainer)

    Trainer.read = broken  # type: ignore[method-assign]


if __name__ == "__main__":
    fault = sys.argv.pop(1)
    if fault == "seed":
        sys.argv += [f"--set=seed={os.environ['RANK']}"]
    faulty(fault)
    main()
