"""What a run was made with, for whoever wants to make it again."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from chiasm.device import processor

NAMED_PACKAGES = ("chiasm", "numpy", "grain", "tokenizers", "vizdoom")


def versions(command: str) -> dict[str, Any]:
    """Versions of what decides the numbers, the machine, its threads, and the command."""
    return {
        "command": command,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        **code_versions(),
        "machine": f"{platform.platform()}, {processor()}, {os.cpu_count()} cores",
        "threads": torch.get_num_threads(),
    }


def code_versions() -> dict[str, str | None]:
    """Versions of the packages that decide the numbers, and the commit.

    That of torch names its build, as in 2.13.0+cpu, which its package's metadata may not.
    """
    packages = {name: importlib.metadata.version(name) for name in NAMED_PACKAGES}
    return {**packages, "torch": torch.__version__, "git_commit": _git_commit()}


def _git_commit() -> str | None:
    """Commit of the checkout that the package runs from, ``-dirty`` where files differ from it.

    None for an installed package.
    """
    root = Path(__file__).parents[2]
    if not (root / ".git").exists() or shutil.which("git") is None:
        return None
    options = ("--always", "--dirty", "--abbrev=40", "--exclude=*")
    command = ["git", "-C", str(root), "describe", *options]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip() or None
