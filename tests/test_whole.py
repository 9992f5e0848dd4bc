"""Whatever happens while a file or folder is written, the old one or the new one is there."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from chiasm.whole import whole, write_json, write_whole


def fill(folder: Path, content: str) -> None:
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "file").write_text(content)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_files_are_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.json"
    for content in ({"a": 1}, [0.1 + 0.2]):
        write_json(path, content)
        assert json.loads(path.read_text()) == content
    write_whole(path, "ä")
    assert path.read_bytes() == "ä".encode()
    write_whole(path, b"\xff")
    assert path.read_bytes() == b"\xff"
    assert names(path.parent) == ["file.json"]


def test_a_folder_takes_the_place_of_one_with_files(tmp_path: Path) -> None:
    for content in ("old", "new"):
        with whole(tmp_path / "folder") as aside:
            fill(aside, content)
    assert (tmp_path / "folder" / "deep" / "file").read_text() == "new"
    assert names(tmp_path) == ["folder"]


def test_what_fails_leaves_what_was_there(tmp_path: Path) -> None:
    fill(tmp_path / "folder", "old")
    for error in (OSError, KeyboardInterrupt):
        with suppress(error), whole(tmp_path / "folder") as aside:
            fill(aside, "new")
            raise error
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "folder" / "deep" / "file", float("nan"))
    assert (tmp_path / "folder" / "deep" / "file").read_text() == "old"
    assert names(tmp_path) == ["folder"]


def test_a_folder_never_gives_way_to_a_file(tmp_path: Path) -> None:
    fill(tmp_path / "thesis", "years of work")
    with pytest.raises(OSError, match="thesis"):
        write_whole(tmp_path / "thesis", "text")
    assert (tmp_path / "thesis" / "deep" / "file").exists()


KILLED = """
import os, signal, sys
from pathlib import Path
from chiasm.whole import whole
with whole(Path(sys.argv[1])) as aside:
    aside.mkdir()
    (aside / "half").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_leaves_nothing_that_counts(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, tmp_path / "folder"], check=False)
    assert names(tmp_path) == ["folder.partial"]
    with whole(tmp_path / "folder") as aside:
        fill(aside, "new")
    assert names(tmp_path) == ["folder"]
    assert names(tmp_path / "folder") == ["deep"]


def test_of_several_processes_the_first_ones_folder_stays(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    with whole(path, shared=True) as late:
        fill(late, "late")
        with whole(path, shared=True) as early:
            fill(early, "early")
        inode = os.stat(path).st_ino
    assert (path / "deep" / "file").read_text() == "early"
    assert os.stat(path).st_ino == inode
    assert names(tmp_path) == ["folder"]
