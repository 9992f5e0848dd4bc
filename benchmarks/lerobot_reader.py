"""Whether LeRobot's own reader finds in an exported set what was exported, and the reverse.

Walks of noise with recorded controls, and walks with poses, are written as ``chiasm data export``
writes them, without loss and with it, in files that roll over at different episodes. Python of an
environment that has lerobot (its versions of torch and av are not those of chiasm) reads every row
of each: picture, action, state, task and times are compared with what was exported. Then lerobot
writes a set by its own defaults, whose pictures say their episode and number, and chiasm reads it.

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
            told = within(python, "--read", str(folder), str(expected))
            figures[f"crf {crf}"] = json.loads(told.splitlines()[-1])
            files = {
                kind: len(list(folder.rglob(f"{kind}/**/*{suffix}")))
                for kind, suffix in (("data", ".parquet"), ("videos", ".mp4"))
            }
            figures[f"crf {crf}"] |= {"files": files}
        within(python, "--write", str(Path(above) / "theirs"))
        figures["written by lerobot"] = read_theirs(Path(above) / "theirs")
    for name, own in figures.items():
        print(name, own)
    write_record("lerobot_reader", figures)


def within(python: str, *arguments: str) -> str:
    """Returns what this script prints in the other environment."""
    command = [python, __file__, *arguments]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode:
        sys.exit(f"{found.stdout}\n{found.stderr}")
    return found.stdout


def read_theirs(folder: Path) -> dict[str, int]:
    """Returns how many frames of lerobot's own set chiasm reads, and how many wrongly."""
    from chiasm.actions import ActionFormat
    from chiasm.controls import ControlSettings
    from chiasm.data.robots import LeRobotSettings
    from chiasm.data.source import Opening

    actions = ActionFormat(controls={"episode": ControlSettings(), "number": ControlSettings()})
    settings = LeRobotSettings(path=str(folder), task="action_video", held_out_fraction=0.3)
    opened = settings.open("theirs", Opening(actions=actions))
    frames = wrong = 0
    for source in (opened.train, opened.held_out):
        for walk in source.walks:
            for number, frame in enumerate(walk):
                red, green, _ = source.picture(frame).pixels().reshape(-1, 3).mean(0).tolist()
                shown = {"episode": round((red - 10) / 30), "number": round((green - 10) / 12)}
                frames += 1
                wrong += shown != source.last_controls(frame) or shown["number"] != number
    return {"frames": frames, "wrong": wrong}


def write(folder: str) -> None:
    """Writes a set by lerobot's own means and defaults, within its environment."""
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    camera = {"dtype": "video", "shape": (96, 128, 3), "names": ["height", "width", "channels"]}
    action = {"dtype": "float32", "shape": (2,), "names": ["episode", "number"]}
    features = {ACTION: action, CAMERA: camera}
    dataset = LeRobotDataset.create("chiasm/theirs", RATE, features, root=folder, use_videos=True)
    for episode, length in enumerate(LENGTHS):
        for number in range(length):
            pixels = np.full((96, 128, 3), (30 * episode + 10, 12 * number + 10, 0), np.uint8)
            own = {ACTION: np.array([episode, number], np.float32), CAMERA: pixels}
            dataset.add_frame(own | {"task": f"task {episode % 2}"})
        dataset.save_episode()
    dataset.finalize()


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
    """Returns numbers of rows, and how far what is read is from what was written."""
    own = dataset("chiasm/exported", root=folder, video_backend=backend)
    far = dict.fromkeys(rows.files, 0.0)
    mean = 0.0
    starts = np.concatenate([[0], np.cumsum(LENGTHS)])
    wrong = {"task": 0, "timestamp": 0, "episode_index": 0}
    for number in range(len(own)):
        row = own[number]
        for name in rows.files:
            value = row[name].numpy()
            if name == CAMERA:
                value = value.transpose(1, 2, 0) * 255
            gap = np.abs(value.astype(np.float64) - rows[name][number])
            mean += float(gap.mean()) / len(own) if name == CAMERA else 0.0
            far[name] = max(far[name], round(float(gap.max()), 4))
        episode = int(np.searchsorted(starts, number, side="right")) - 1
        wrong["episode_index"] += int(int(row["episode_index"]) != episode)
        wrong["task"] += int(row["task"] != f"task {episode % 2}")
        time = (number - starts[episode]) / RATE
        wrong["timestamp"] += int(abs(float(row["timestamp"]) - time) > 1e-4)
    return {
        "rows": len(own),
        "largest difference": far,
        "mean difference of a channel of a pixel": round(mean, 4),
        "rows that are wrong": wrong,
    }


if __name__ == "__main__":
    if sys.argv[1:2] == ["--read"]:
        inside(*sys.argv[2:4])
    elif sys.argv[1:2] == ["--write"]:
        write(sys.argv[2])
    elif len(sys.argv) == 2:
        sys.path.insert(0, str(Path(__file__).parents[1]))
        main(sys.argv[1])
    else:
        sys.exit(__doc__)
