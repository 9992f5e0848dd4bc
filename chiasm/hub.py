"""The Hugging Face hub: models from and to it, early checks of what its clients would retry for a
minute, and errors."""

from __future__ import annotations

import re
from pathlib import Path

from chiasm.errors import UserError, first_line

_ANSWER_SECONDS = 10

LICENSES = frozenset(
    """
    afl-3.0 agpl-3.0 apache-2.0 apple-amlr apple-ascl artistic-2.0 bigcode-openrail-m
    bigscience-bloom-rail-1.0 bigscience-openrail-m bsd bsd-2-clause bsd-3-clause
    bsd-3-clause-clear bsl-1.0 c-uda cc cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-nc-2.0
    cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0
    cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 cdla-permissive-1.0
    cdla-permissive-2.0 cdla-sharing-1.0 creativeml-openrail-m deepfloyd-if-license ecl-2.0 epl-1.0
    epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 gemma gfdl gpl gpl-2.0 gpl-3.0 h-research intel-research
    isc lgpl lgpl-2.1 lgpl-3.0 lgpl-lr llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 lppl-1.3c mit
    mpl-2.0 ms-pl ncsa odbl odc-by ofl-1.1 openmdw-1.0 openrail openrail++ osl-3.0 other pddl
    postgresql unknown unlicense wtfpl zlib
    """.split()  # noqa: SIM905
)
"""Ids of licenses that the hub knows; its client has no list of them."""


def require_hub(name: str, setting: str) -> None:
    """Raises a UserError unless ``name`` can be a hub name and the hub answers.

    With ``HF_HUB_OFFLINE=1`` the clients read only their caches, and the hub is not contacted.
    """
    from huggingface_hub import constants  # most runs never need it

    parent = Path(name).parent
    mistaken_path = parent != Path(".") and parent.is_dir()
    if mistaken_path or not re.fullmatch(r"\w[\w.-]*(/[\w.-]+)?", name):
        why = "is not there: no such file or folder"
        raise UserError(why, setting=setting, value=name)
    if constants.HF_HUB_OFFLINE:
        return
    if reason := unreachable():
        raise UserError(
            f"{_absent(name)}, and {reason}",
            setting=setting,
            value=name,
            remedy="set HF_HUB_OFFLINE=1 to use a copy that was fetched before",
        )


def gave_none(what: str, name: str, error: BaseException, setting: str = "") -> UserError:
    """Returns the error for a failure of the hub's clients, whose errors have unrelated types."""
    subject = "" if setting else f"{name!r} "
    return UserError(
        f"{subject}{_absent(name)}, and the hub gave no {what} of that name ({first_line(error)})",
        setting=setting,
        value=name,
        remedy="check the name; connect to the network once, or copy its folder here",
    )


def _absent(name: str) -> str:
    """Returns that nothing here has a name, which may have been meant as a path."""
    parent = Path(name).parent
    there = "" if parent.is_dir() else f" (there is no folder {parent})"
    return f"is no file or folder here{there}"


def download(name: str) -> Path:
    """Returns the folder of a model's repository, fetched unless the cache has its newest version.

    Raises:
        UserError: neither the hub nor its cache has one of that name.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name))
    except Exception as error:
        raise gave_none("model", name, error) from error


def upload(folder: Path, name: str, *, private: bool) -> str:
    """Writes a folder into a model's repository, made if it is not there; returns its address.

    Who asks is the user that ``hf auth login`` or HF_TOKEN names.

    Raises:
        UserError: the hub cannot be reached, or refuses.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        address = api.create_repo(name, private=private, exist_ok=True)
        api.upload_folder(repo_id=name, folder_path=folder, commit_message=f"chiasm: {folder.name}")
    except Exception as error:
        raise UserError(
            f"{folder} is written, and cannot be pushed to {name!r}: {first_line(error)}",
            remedy=f"{_remedy(error, name)}, and give the same command again",
        ) from error
    return str(address)


def _remedy(error: Exception, name: str) -> str:
    """Returns what to do about an upload that failed: an answer of the hub has a status."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is None and unreachable():
        return "connect to the network (HF_HUB_OFFLINE and HF_ENDPOINT say which)"
    if status in (None, 401):
        return "log in with hf auth login, or set HF_TOKEN"
    if status in (403, 404):
        return f"log in as one who may write to {name}, with a token for writing"
    return "do as the hub says"


def unreachable() -> str:
    """Returns why the hub does not answer; empty if it does."""
    from huggingface_hub import constants, get_session

    try:
        get_session().head(constants.ENDPOINT, timeout=_ANSWER_SECONDS)
    except Exception as error:  # of whichever HTTP library the client uses
        return f"the hub cannot be reached ({error})"
    return ""
