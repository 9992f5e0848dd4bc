import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from nursery import Forked

from chiasm.errors import UserError
from chiasm.loop.checkpoint import Checkpoints

Told = list[str]


@pytest.fixture
def told() -> Told:
    return []


@pytest.fixture
def checkpoints(tmp_path: Path, told: Told) -> Checkpoints:
    return Checkpoints(tmp_path / "checkpoints", keep=2, tell=told.append)


def state(value: float) -> dict:
    return {
        "model": {"weight": torch.full((3, 4), value)},
        "optimizer": {
            "state": {"weight": {"step": torch.tensor(value)}},
            "groups": [{"lr": value}],
        },
    }


def restored(checkpoints: Checkpoints) -> tuple[dict | None, float]:
    tensors = state(-1.0)
    progress = checkpoints.restore(tensors)
    assert tensors["optimizer"]["state"]["weight"]["step"] == tensors["model"]["weight"][0, 0]
    assert tensors["optimizer"]["groups"][0]["lr"] == tensors["model"]["weight"][0, 0]
    return progress, float(tensors["model"]["weight"][0, 0])


def test_empty_folder_has_nothing(checkpoints: Checkpoints) -> None:
    assert restored(checkpoints) == (None, -1.0)


def test_keeps_the_newest_and_restores_the_last(checkpoints: Checkpoints) -> None:
    for step in (1, 2, 3):
        checkpoints.save(step, state(step), {"step": step, "share": 0.1 + 0.2})
    assert checkpoints.steps() == [2, 3]
    assert restored(checkpoints) == ({"step": 3, "share": 0.1 + 0.2}, 3.0)


def test_what_only_the_checkpoint_knows_is_added(checkpoints: Checkpoints) -> None:
    there = state(1)["optimizer"] | {"counts": torch.arange(3), "nothing": None}
    del there["groups"]  # lists have no names
    checkpoints.save(1, {"weight": torch.ones(2), "optimizer": there}, {"step": 1})
    tensors = {"weight": torch.zeros(2)}
    assert checkpoints.restore(tensors, "optimizer") == {"step": 1}
    assert tensors["weight"].tolist() == [1, 1]
    added = tensors["optimizer"]
    assert added["counts"].tolist() == [0, 1, 2]
    assert added["counts"].dtype == torch.int64
    assert added["nothing"] is None
    assert float(added["state"]["weight"]["step"]) == 1


def test_half_written_is_ignored_with_a_message(checkpoints: Checkpoints, told: Told) -> None:
    checkpoints.save(1, state(1), {"step": 1})
    half = checkpoints.folder / "step-0000002.partial"
    half.mkdir()
    (half / "__0_0.distcp").write_bytes(b"half")
    assert restored(checkpoints) == ({"step": 1}, 1.0)
    assert "half-written" in told[0]
    assert not half.exists()


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("__0_0.distcp", flip_a_byte),
        (".metadata", Path.unlink),
        ("progress.json", lambda path: path.write_text("{")),
        ("manifest.json", Path.unlink),
        ("manifest.json", lambda path: path.write_text("{")),
    ],
)
def test_damaged_falls_back(
    checkpoints: Checkpoints, told: Told, name: str, damage: Callable[[Path], None]
) -> None:
    for step in (1, 2):
        checkpoints.save(step, state(step), {"step": step})
    damage(checkpoints.path(2) / name)
    assert restored(checkpoints) == ({"step": 1}, 1.0)
    assert "step-0000002 is damaged" in told[0]
    assert checkpoints.steps() == [1]
    checkpoints.save(2, state(2), {"step": 2})
    assert restored(checkpoints) == ({"step": 2}, 2.0)


def test_all_damaged_is_refused(checkpoints: Checkpoints) -> None:
    checkpoints.save(1, state(1), {"step": 1})
    (checkpoints.path(1) / "manifest.json").unlink()
    with pytest.raises(UserError, match="every checkpoint"):
        checkpoints.restore(state(0))


FULL = """
import resource, signal, sys, torch
from pathlib import Path
from chiasm.loop.checkpoint import Checkpoints
checkpoints = Checkpoints(Path(sys.argv[1]), keep=2, tell=print)
checkpoints.save(1, {"model": {"weight": torch.ones(10)}}, {"step": 1})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
checkpoints.save(2, {"model": {"weight": torch.ones(100_000)}}, {"step": 2})
"""


@pytest.mark.slow
def test_a_disk_that_refuses_leaves_earlier_checkpoints(tmp_path: Path) -> None:
    """The kernel itself refuses to write beyond a limit, as it does on a full disk."""
    command = [sys.executable, "-c", FULL, str(tmp_path)]
    with Forked(command, stderr=subprocess.PIPE, text=True) as run:
        message = run.communicate()[1].splitlines()[-1]
    assert message.startswith("chiasm.errors.UserError: the checkpoint of step 2 cannot be written")
    assert "intact up to step 1" in message
    assert [path.name for path in tmp_path.iterdir()] == ["step-0000001"]
    tensors = {"model": {"weight": torch.zeros(10)}}
    assert Checkpoints(tmp_path, keep=2, tell=print).restore(tensors) == {"step": 1}
    assert tensors["model"]["weight"].eq(1).all()
