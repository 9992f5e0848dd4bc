"""The folder that a tokenizer is trained into: its begin, and what stands there at the end."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from chiasm.errors import UserError
from chiasm.loop.metrics import read_metrics
from chiasm.ranks import Ranks
from chiasm.tokenizers.storage import DESCRIPTION, read_description, save_tokenizer
from chiasm.tokenizers.tokenizer import Tokenizer


def begin_folder(folder: Path, identity: str, ranks: Ranks) -> bool:
    """Makes the folder; returns whether it holds the finished tokenizer of this identity.

    Raises:
        UserError: it holds another one, or not all ranks see it.
    """
    finished = False
    with ranks.together():
        if ranks.is_first:
            finished = _finished(folder, identity)
            folder.mkdir(parents=True, exist_ok=True)
    finished = ranks.gather(finished)[0]
    with ranks.together():
        if not folder.is_dir():
            raise UserError(
                f"{folder} is not where rank 0 writes to: all ranks must see the same folder",
                remedy="give one on a file system that all machines share (--out)",
            )
    return finished


def _finished(folder: Path, identity: str) -> bool:
    if not (folder / DESCRIPTION).exists():
        return False
    if read_description(folder).get("record", {}).get("identity") != identity:
        raise UserError(
            f"{folder} already holds a tokenizer of other settings or data; train into another "
            "folder"
        )
    return True


def finish_folder(folder: Path, tokenizer: Tokenizer, record: dict[str, Any]) -> None:
    """Writes the tokenizer, with the last losses of its stages in its record; removes what only
    training needs.

    Raises:
        UserError: the folder cannot be written.
    """
    logs = sorted(folder.glob("*/metrics.jsonl"))
    losses = {path.parent.name: read_metrics(path)[-1] for path in logs}
    save_tokenizer(tokenizer, folder, {**record, "losses": losses})
    for leftover in folder.glob("*/checkpoints"):
        shutil.rmtree(leftover)
