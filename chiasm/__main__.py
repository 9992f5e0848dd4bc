"""The command line: the ``chiasm`` script, and ``python -m chiasm`` wherever that is installed."""

from __future__ import annotations

import os
import sys

SHORT_WAIT = {
    "OMP_WAIT_POLICY": "active" if sys.platform == "linux" else "passive",
    "GOMP_SPINCOUNT": "1000",
}
"""Threads of one operation that wait for each other soon sleep, instead of spinning on a core that
the awaited one may need: GNU's OpenMP by default spins 300,000 times, which cost a step beside
other programs more than ten times its processor time. Nor do they sleep at once: where a process
has more of GNU's threads than cores, as beside a reading thread, it spins 0 times if waiting is
passive, and 1,000 if it is active; a step on two free cores then takes 0.84 of the time. Other
libraries take active waiting at its word, so that it is asked for on Linux alone, where torch has
GNU's.
"""


def main() -> None:
    """Runs the command line, after setting how threads wait unless the environment sets it."""
    if not any(name in os.environ for name in (*SHORT_WAIT, "KMP_BLOCKTIME")):
        os.environ |= SHORT_WAIT
    try:
        from chiasm.cli import main  # OpenMP reads its environment when torch is imported

        main()
    except KeyboardInterrupt:
        from chiasm.stop import end_interrupted

        end_interrupted()


if __name__ == "__main__":
    main()
