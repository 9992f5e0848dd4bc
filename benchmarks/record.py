"""One JSON file per benchmark, with all that a reader needs to judge and repeat the figures."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

RECORDS = Path(__file__).parent / "records"


def machine() -> dict[str, Any]:
    """Processor, cores, threads, accelerator and versions of the machine that measures."""
    model = next(
        (line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if "model name" in line),
        platform.processor(),
    )
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def write_record(name: str, figures: dict[str, Any]) -> Path:
    """Write ``records/NAME.json`` (machine, commit, command, time, figures) and print its path."""
    record = {
        "name": name,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "command": " ".join(["python", *sys.argv]),
        "machine": machine(),
        "figures": figures,
    }
    RECORDS.mkdir(exist_ok=True)
    path = RECORDS / f"{name}.json"
    path.write_text(json.dumps(record, indent=2) + "\n")
    print(f"wrote {path}")
    return path


def _commit() -> str:
    describe = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    result = subprocess.run(describe, capture_output=True, text=True, cwd=RECORDS.parent)
    return result.stdout.strip() or "unknown"


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []
