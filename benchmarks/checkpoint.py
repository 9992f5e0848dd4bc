"""How long a checkpoint holds up the training: written at once, and in the background.

python benchmarks/checkpoint.py [--megabytes 400] [--rounds 7] [--record REMARK]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

import torch
from record import write_record

from chiasm.loop.checkpoint import Checkpoints


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--record", metavar="REMARK")
    asked = parser.parse_args()
    # As a decoder of width 512 has them: a few large tensors and many small ones.
    tensors = {f"large{number}": torch.randn(1024, 1024) for number in range(asked.megabytes // 4)}
    tensors |= {f"small{number}": torch.randn(512) for number in range(100)}
    stalls: dict[bool, list[float]] = {False: [], True: []}
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(Path(folder), 1, print)
        for step in range(1, 2 * asked.rounds + 3):
            background = step % 2 == 0
            begin = time.perf_counter()
            checkpoints.save(step, {"model": tensors}, {}, background=background)
            taken = time.perf_counter() - begin
            checkpoints.wait()
            if step > 2:  # the first ones also import and allocate
                stalls[background].append(taken)
    at_once, beside = median(stalls[False]), median(stalls[True])
    share = beside / at_once
    print(f"written at once {at_once:.3f} s, in the background {beside:.3f} s: {share:.1%}")
    if asked.record is not None:
        seconds = {"at_once": stalls[False], "background": stalls[True]}
        figures = {"megabytes": asked.megabytes, "seconds": seconds, "share": share}
        write_record("checkpoint", {"remark": asked.record, **figures})


if __name__ == "__main__":
    main()
