import json
import time
from io import FileIO
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from chiasm.errors import UserError
from chiasm.loop.metrics import MetricsLog, read_metrics


def test_lines_and_values_that_are_not_finite(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path, step=0)
    log.write("train", 1, {"loss": 0.5, "flow_loss": float("nan")}, {"seconds": 2.0})
    log.write("validation", 1, {"loss": 0.75}, {})
    log.close()
    assert read_metrics(tmp_path / "metrics.jsonl") == [
        {"step": 1, "phase": "train", "loss": 0.5, "flow_loss": None},
        {"step": 1, "phase": "validation", "loss": 0.75},
    ]
    assert read_metrics(tmp_path / "timing.jsonl") == [
        {"step": 1, "phase": "train", "seconds": 2.0}
    ]


@pytest.mark.slow
def test_tensorboard_has_the_same_numbers(tmp_path: Path) -> None:
    for begun, steps in ((0, (1, 2, 3)), (2, (3, 4))):
        log = MetricsLog(tmp_path, step=begun)
        for step in steps:
            log.write("train", step, {"loss": begun + 1 / step}, {"seconds": 2.0})
        log.close()
        time.sleep(1)  # TensorBoard reads files in the order of their names, which tell the second
    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    assert board.Tags()["scalars"] == ["train/loss", "train/seconds"]
    found = [(each.step, each.value) for each in board.Scalars("train/loss")]
    assert found == [(1, 1.0), (2, 0.5), (3, pytest.approx(2 + 1 / 3)), (4, 2.25)]


def test_resuming_drops_later_and_torn_lines(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path, step=0)
    for step in (1, 2, 3):
        log.write("train", step, {"loss": 1 / step}, {})
    log.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "phase": "tr')
    resumed = MetricsLog(tmp_path, step=2)
    resumed.write("train", 3, {"loss": 1 / 3}, {})
    resumed.close()
    text = (tmp_path / "metrics.jsonl").read_text()
    assert [json.loads(line)["step"] for line in text.splitlines()] == [1, 2, 3]
    assert read_metrics(tmp_path / "metrics.jsonl")[2]["loss"] == 1 / 3


def test_missing_file_is_empty(tmp_path: Path) -> None:
    assert read_metrics(tmp_path / "metrics.jsonl") == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_one_message(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path, step=0)
    log._metrics.close()
    log._metrics = FileIO("/dev/full", "w")
    with pytest.raises(UserError, match="No space left on device"):
        log.write("train", 1, {"loss": 1.0}, {})
    log.close()
