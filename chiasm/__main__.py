"""The command line: the ``chiasm`` script, and ``python -m chiasm`` wherever that is installed."""

from __future__ import annotations

import os

SHORT_WAIT = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "1000"}
"""Threads of one operation that wait for each other soon sleep instead of keeping a core busy that
the one they wait for may need. The second is for GNU's OpenMP, whose own 300,000 turns cost a step
beside other programs more than ten times its processor time; 1,000 cost nothing on a free machine.
"""


def main() -> None:
    """Run the command line; how threads wait is set first, unless the environment says it."""
    if not any(name in os.environ for name in (*SHORT_WAIT, "KMP_BLOCKTIME")):
        os.environ |= SHORT_WAIT
    from chiasm.cli import main  # OpenMP reads its environment when torch is imported

    main()


if __name__ == "__main__":
    main()
