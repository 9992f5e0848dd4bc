"""Whether LeRobot's own reader finds in an exported set what was exported.

Walks of noise with recorded controls, and walks with poses, are written as ``chiasm data export``
writes them, without loss and with it, in files that roll over at different episodes. Python of an
environment that has lerobot (its versions of torch and av are not those of chiasm) reads every row
of each: picture, action, state, task and times are compared with what was exported.

    python benchmarks/lerobot_reader.py path/to/environment/bin/python
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

LENGTHS = (7, 12, 9, 15, 6, 10)
SIZE = (48, 64)
RATE = 20
CAMERA, ACTION, STATE = "observation.images.camera", "action", "observation.state"


def smooth(rng: np.random.Generator) -> np.ndarray:
    """Returns a picture of large patches, which 4:2:0 keeps nearly: uint8 [H, W, 3]."""
    patches = rng.integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return patches.repeat(SIZE[0] // 3, 0).repeat(SIZE[1] // 4, 1)


def export(folder: Path, crf: int) -> dict[str, list[np.ndarray]]:
    """Writes a set and returns what every row of it must hold, episode by episode."""
    from chiasm.data.lerobot_writer import LeRobotWriter, SetSettings

    rng = np.random.default_rng(crf)
    settings = SetSettings(
        RATE,
        {ACTION: ("steering", "throttle"), STATE: ("x_metres", "y_metres", "yaw_degrees")},
        crf,
        data_megabytes=0.001,
        video_megabytes=0.02,
    )
    rows: dict[str, list[np.ndarray]] = {CAMERA: [], ACTION: [], STATE: []}
    with LeRobotWriter(folder, settings) as writer:
        for number, length in enumerate(LENGTHS):
            own = {ACTION: rng.normal(size=(length, 2)), STATE: rng.normal(size=(length, 3))}
            pictures = [
                smooth(rng) if crf else rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
                for _ in range(length)
            ]
            split = "train" if number < 4 else "test"
            writer.write(pictures, own, f"task {number % 2}", split)
            rows[CAMERA] += pictures
            for name, vectors in own.items():
                rows[name] += list(vectors.astype(np.float32))
    return rows


def main(python: str) -> None:
    """Exports, has the other environment read, and writes the record."""
    from record import write_record

    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as above:
        for crf in (0, 18):
            folder = Path(above) / f"crf-{crf}"
            rows = {name: np.stack(own) for name, own in export(folder, crf).items()}
            expected = Path(above) / f"crf-{crf}.npz"
            np.savez(expected, **rows)
            found = subprocess.run(
                [python, __file__, "--inside", str(folder), str(expected)],
                capture_output=True,
                text=True,
                check=False,
            )
            if found.returncode:
                sys.exit(f"{found.stdout}\n{found.stderr}")
            figures[f"crf {crf}"] = json.loads(found.stdout.splitlines()[-1])
            files = {
                kind: len(list(folder.rglob(f"{kind}/**/*{suffix}")))
                for kind, suffix in (("data", ".parquet"), ("videos", ".mp4"))
            }
            figures[f"crf {crf}"] |= {"files": files}
    for name, own in figures.items():
        print(name, own)
    write_record("lerobot_reader", figures)


def inside(folder: str, expected: str) -> None:
    """Reads a set by lerobot and prints how far it is from what was exported, as JSON."""
    import av
    import lerobot
    import torch
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    rows = np.load(expected)
    found: dict[str, Any] = {
        "lerobot": lerobot.__version__,
        "torch": torch.__version__,
        "av": av.__version__,
    }
    for backend in ("pyav", "torchcodec"):
        try:
            found[backend] = differences(LeRobotDataset, folder, rows, backend)
        except (ImportError, RuntimeError, OSError) as error:
            found[backend] = f"not read: {type(error).__name__}: {str(error).splitlines()[0]}"
    print(json.dumps(found))


def differences(dataset: Any, folder: str, rows: Any, backend: str) -> dict[str, Any]:
    """Returns numbers of rows and the largest differences of what is read from what was written."""
    own = dataset("chiasm/exported", root=folder, video_backend=backend)
    far = dict.fromkeys(rows.files, 0.0)
    starts = np.concatenate([[0], np.cumsum(LENGTHS)])
    wrong = {"task": 0, "timestamp": 0, "episode_index": 0}
    for number in range(len(own)):
        row = own[number]
        for name in rows.files:
            value = row[name].numpy()
            if name == CAMERA:
                value = value.transpose(1, 2, 0) * 255
            gap = np.abs(value.astype(np.float64) - rows[name][number])
            far[name] = max(far[name], round(float(gap.max()), 4))
        episode = int(np.searchsorted(starts, number, side="right")) - 1
        wrong["episode_index"] += int(row["episode_index"]) != episode
        wrong["task"] += row["task"] != f"task {episode % 2}"
        time = (number - starts[episode]) / RATE
        wrong["timestamp"] += abs(float(row["timestamp"]) - time) > 1e-4
    return {"rows": len(own), "largest difference": far, "rows that are wrong": wrong}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        inside(*sys.argv[2:4])
    elif len(sys.argv) == 2:
        sys.path.insert(0, str(Path(__file__).parents[1]))
        main(sys.argv[1])
    else:
        sys.exit(__doc__)
