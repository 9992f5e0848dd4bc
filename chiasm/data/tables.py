"""A user's folder, file or hub name → a table of rows, opened with Hugging Face ``datasets``.

JSON lines, Parquet, CSV, WebDataset shards, plain text files and folders of pictures all become
one memory-mapped table with random access.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from chiasm.data.hub import require_hub
from chiasm.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset

_READERS = {
    ".jsonl": "json",
    ".json": "json",
    ".parquet": "parquet",
    ".csv": "csv",
    ".tar": "webdataset",
    ".txt": "text",
}
_PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")


def open_table(path: str, setting: str, *, prefer_text: bool = False) -> Dataset:
    """Open what the path names; ``setting`` is the setting to blame.

    A folder is read by its ``metadata.*`` file, else by its tables, else as pictures in folders
    named after their labels. ``prefer_text``: plain text files come before tables.

    Raises:
        UserError: nothing there, nothing readable in it, or a file that is cut off or malformed.
    """
    import datasets  # a second to import, and a run on the embedded world never needs it

    datasets.disable_progress_bars()
    reader, files = _reader(Path(path), prefer_text)
    if reader == "hub":
        if _looks_local(path):
            raise UserError(_absence(path, setting))
        require_hub(path, setting)
    if reader == "unknown":
        raise UserError(
            f"{setting} = {path!r} holds nothing that can be read; give a folder with "
            "metadata.jsonl, .jsonl, .parquet, .csv, .tar or .txt files, or pictures"
        )
    try:
        if reader == "hub":
            table = datasets.load_dataset(path, split="train")
        elif reader == "imagefolder":
            table = datasets.load_dataset(reader, data_dir=path, split="train")
        else:
            options: dict[str, Any] = {"sample_by": "document"} if reader == "text" else {}
            table = datasets.load_dataset(reader, data_files=files, split="train", **options)
    except Exception as error:  # each reader has its own kinds
        raise UserError(_complaint(path, setting, reader, files, error)) from error
    if not len(table):
        raise UserError(f"{setting} = {path!r} holds no rows")
    return _undecoded(table)


def _reader(path: Path, prefer_text: bool) -> tuple[str, list[str]]:
    if path.is_file():
        return _READERS.get(path.suffix.lower(), "unknown"), [str(path)]
    if not path.is_dir():
        return "hub", []
    files = sorted(file for file in path.rglob("*") if file.is_file())
    tables = [file for file in files if file.suffix.lower() in _READERS]
    texts = [file for file in tables if file.suffix.lower() == ".txt"]
    if prefer_text and texts:
        return "text", [str(file) for file in texts]
    tables = [file for file in tables if file not in texts]
    chosen = [file for file in tables if file.stem == "metadata" and file.parent == path] or tables
    if chosen:
        suffix = chosen[0].suffix
        return _READERS[suffix.lower()], [str(file) for file in chosen if file.suffix == suffix]
    if any(file.suffix.lower() in _PICTURES for file in files):
        return "imagefolder", []
    return "unknown", []


def _looks_local(path: str) -> bool:
    """The hub's names are ``owner/name``."""
    return path.startswith(("/", "~", ".")) or "./" in path or path.count("/") != 1


def _absence(path: str, setting: str) -> str:
    message = f"{setting} = {path!r} does not exist: no such file or folder"
    if path.startswith("~"):
        return f"{message}; write the home folder in full, ~ is not expanded here"
    return message if Path(path).is_absolute() else f"{message} in {Path.cwd()}"


def _complaint(path: str, setting: str, reader: str, files: list[str], error: Exception) -> str:
    cause = str(error.__cause__ or error).strip().splitlines() or [type(error).__name__]
    if reader == "hub":
        return (
            f"{setting} = {path!r} is no file or folder here, and the hub gave no dataset of that "
            f"name ({cause[0]})"
        )
    unreadable = [file for file in files if not _is_utf8(file)] if reader == "text" else []
    if unreadable:
        return (
            f"{setting} = {path!r} cannot be read: {unreadable[0]!r} is not UTF-8 text "
            f"({len(unreadable)} of {len(files)} files); convert it with iconv, or take it out"
        )
    return f"{setting} = {path!r} cannot be read as {reader}: {cause[0]}"


def _is_utf8(file: str) -> bool:
    try:
        Path(file).read_text("utf-8")
    except UnicodeDecodeError:
        return False
    except OSError:  # the reader's own message says why
        return True
    return True


def _undecoded(table: Dataset) -> Dataset:
    """Picture columns give bytes or a path: they are decoded only when their row is due."""
    import datasets

    for name, feature in table.features.items():
        if isinstance(feature, datasets.Image):
            table = table.cast_column(name, datasets.Image(decode=False))
    return table


def choose_column(table: Dataset, setting: str, wanted: str, usual: tuple[str, ...]) -> str:
    """The wanted column, or the first usual one that the table has.

    Raises:
        UserError: no such column; the message lists those there are.
    """
    columns = list(table.column_names)
    for name in (wanted,) if wanted else usual:
        if name in columns:
            return name
    available = ", ".join(columns)
    if wanted:
        raise UserError(f"{setting} = {wanted!r} is no column; there are: {available}")
    raise UserError(
        f"{setting} is not set and no column has a usual name ({', '.join(usual)}); "
        f"choose one of: {available}"
    )
