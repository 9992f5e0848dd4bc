"""Where a saved model lies: its own folder, a run's, or the hub's cache."""

from __future__ import annotations

from pathlib import Path

from chiasm.errors import UserError

CONFIG = "config.json"
"""What every saved model has."""


def find_model(path_or_hub_id: str | Path) -> Path:
    """Returns the folder of a saved model.

    Raises:
        UserError: there is none of that name.
    """
    path = Path(path_or_hub_id).expanduser()
    for folder in (path, path / "model"):
        if (folder / CONFIG).is_file():
            return folder
    if path.exists():
        raise UserError(
            f"{path} holds no model: neither {CONFIG} nor model/{CONFIG} is there. A run gets its "
            "model/ when its training ends; if it was interrupted, run chiasm train again to go on"
        )
    if str(path_or_hub_id).count("/") != 1 or str(path_or_hub_id).startswith((".", "~", "/")):
        raise UserError(f"{path} does not exist; give a run, a saved model or a hub id owner/name")
    return _download(str(path_or_hub_id))


def _download(hub_id: str) -> Path:
    from huggingface_hub import snapshot_download  # slow to import and rarely needed

    try:
        folder = Path(snapshot_download(hub_id))
    except Exception as error:  # no network, no such name, no permission: many unrelated types
        raise UserError(
            f"{hub_id!r} is no folder here, and the hub gave no model of that name "
            f"({str(error).strip().splitlines()[0]}). Check the path; for a hub model, connect to "
            "the network once or copy its folder here"
        ) from error
    if not (folder / CONFIG).is_file():
        raise UserError(f"the hub's {hub_id!r} holds no {CONFIG}: it is not a model of chiasm")
    return folder
