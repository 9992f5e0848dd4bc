import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from chiasm.stop import GOES_ON, StopRequest

SLOW = """
import time
from typing import Literal
from chiasm.data.source import SOURCES, SourceSettings

@SOURCES.register
class SlowSettings(SourceSettings):
    kind: Literal["slow"] = "slow"

    def open(self, name, opening):
        print("opening", flush=True)
        time.sleep(600)
"""
RECIPE = 'name = "slow"\nimports = ["slow.py"]\nstream.sources.mine.kind = "slow"\n'


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_becomes_a_request(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with StopRequest() as stop:
        assert stop.signal is None
        os.kill(os.getpid(), number)
        assert stop.signal == number
    assert signal.getsignal(number) == before


def test_a_second_interrupt_does_not_wait() -> None:
    with pytest.raises(KeyboardInterrupt), StopRequest():  # noqa: PT012
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)


def test_outside_the_main_thread_nothing_happens() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def work() -> None:
        with StopRequest():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("train recipe.toml --out run", f"stopped by SIGINT; {GOES_ON}"),
        ("--import waits.py demo run", "stopped"),
        ("--import waits.py walk run", "stopped"),
    ],
)
def test_an_interrupt_before_the_first_step_ends_with_a_line(
    command: str, told: str, tmp_path: Path
) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "waits.py").write_text('print("opening", flush=True)\nimport time\ntime.sleep(600)')
    (tmp_path / "recipe.toml").write_text(RECIPE)
    with subprocess.Popen(
        [sys.executable, "-m", "chiasm", *command.split()],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert any("opening" in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        found = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + signal.SIGINT
    assert found == f"chiasm: {told}\n"
