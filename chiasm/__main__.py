"""The command line: the ``chiasm`` script, and ``python -m chiasm`` wherever that is installed."""

from __future__ import annotations

import os

SHORT_WAIT = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "1000"}
"""Threads of one operation that wait for each other soon sleep, instead of spinning on a core that
the awaited one may need. The second is for GNU's OpenMP, whose default of 300,000 spins cost a step
beside other programs more than ten times its processor time; 1,000 cost nothing on a free machine.
"""


def main() -> None:
    """Runs the command line, after setting how threads wait unless the environment sets it."""
    if not any(name in os.environ for name in (*SHORT_WAIT, "KMP_BLOCKTIME")):
        os.environ |= SHORT_WAIT
    from chiasm.cli import main  # OpenMP reads its environment when torch is imported

    main()


if __name__ == "__main__":
    main()
