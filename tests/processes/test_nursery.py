"""A forked process is to whoever starts it as one that is started anew."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from nursery import Forked

SAYS = """
import os, sys
print(sys.argv, os.getcwd(), os.environ["ASKED"], sys.stdin.read(), __name__)
print("an error", file=sys.stderr)
"""
CODES = {
    "ends": SAYS,
    "says a status": SAYS + "sys.exit(3)",
    "says why": SAYS + "sys.exit('why')",
    "is killed": SAYS + "sys.stdout.flush(); os.kill(os.getpid(), 9)",
    "has a last word": "import atexit, os\natexit.register(print, 'at last')\nprint('first')",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CODES)
def test_it_says_and_ends_as_another(name: str, tmp_path: Path) -> None:
    found = []
    for begin in (Forked, subprocess.Popen):
        with begin(
            [sys.executable, "-c", CODES[name], "one", "two words"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "ASKED": "this"},
        ) as process:
            found.append((*process.communicate("told"), process.returncode))
    assert found[0] == found[1]


@pytest.mark.slow
def test_it_is_waited_for_and_told_to_end() -> None:
    with Forked([sys.executable, "-c", "import time; time.sleep(1000)"]) as process:
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)
        process.terminate()
        assert process.wait(60) == process.poll() == -signal.SIGTERM
    assert Forked(["sh", "-c", "exit 4"]).wait() == 4


@pytest.mark.slow
def test_a_session_of_its_own_gets_the_signals_of_its_group() -> None:
    """By which the stand-in of a cluster ends a job."""
    code = "import os, time; print(os.getpgid(0), flush=True); time.sleep(1000)"
    with Forked(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) == process.pid
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL


LATE = """
import sys
there = set(sys.modules)
from chiasm.cli import main
try:
    main()
finally:
    late = set(sys.modules) - there
    print("late:", *(name for name in late if name.startswith("chiasm.")), file=sys.stderr)
"""


@pytest.mark.slow
def test_a_training_finds_its_imports_done(
    tiny_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    """They take longer than a small training."""
    words = ["train", str(tiny_recipe(tmp_path / "tiny.toml")), "--out", str(tmp_path / "run")]
    with Forked([sys.executable, "-c", LATE, *words], stderr=subprocess.PIPE, text=True) as process:
        said = process.communicate()[1]
    assert said.splitlines()[-1].split() == ["late:"], said
