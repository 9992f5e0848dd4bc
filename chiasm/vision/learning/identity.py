"""What decides a tokenizer, and whose a folder is."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from chiasm.errors import UserError
from chiasm.vision.learning.pictures import Pictures
from chiasm.vision.learning.settings import TokenizerTrainingSettings
from chiasm.vision.storage import DESCRIPTION, read_description
from chiasm.vision.tokenizer import VisionTokenizer

BEGUN = "identity.txt"
"""In a folder whose tokenizer is not finished: the identity of its training."""


def training_identity(
    settings: TokenizerTrainingSettings, train: Pictures, frozen: VisionTokenizer | None
) -> str:
    """Returns a hash of all that decides what is learned."""
    described = {"settings": settings.model_dump(mode="json"), "data": train.data, "n": len(train)}
    if frozen is not None:
        described["frozen"] = frozen.fingerprint
    if train.content:
        described["content"] = train.content
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def claim_folder(folder: Path, identity: str) -> None:
    """Make the folder of a training, or see that it holds this very one, begun or finished.

    Raises:
        UserError: it holds another one.
    """
    begun = folder / BEGUN
    found = begun.read_text() if begun.exists() else identity
    if (folder / DESCRIPTION).exists():
        found = read_description(folder).get("record", {}).get("identity")
    if found != identity:
        raise UserError(
            f"{folder} already holds a tokenizer of other settings or data, finished or begun; "
            "train into another folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    aside = begun.with_suffix(".partial")
    aside.write_text(identity)
    os.replace(aside, begun)
