from collections.abc import Callable
from pathlib import Path

import pytest

from chiasm.loop.manifest import DamagedError, hashes, verify, write_manifest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files, whose hashes two processes have made."""
    for name in ("a", "b"):
        (tmp_path / name).write_text(f"content of {name}")
    write_manifest(tmp_path, [hashes([tmp_path / name]) for name in ("a", "b")])
    return tmp_path


def test_what_was_written_is_verified_and_more_may_be_there(folder: Path) -> None:
    verify(folder)
    (folder / "c").write_text("another")
    verify(folder)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda folder: (folder / "a").unlink(), "a is missing"),
        (lambda folder: (folder / "b").write_text("other"), "b differs from what was written"),
        (lambda folder: (folder / "manifest.json").unlink(), "manifest.json"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "manifest.json"),
    ],
)
def test_damage_is_told(folder: Path, damage: Callable[[Path], object], told: str) -> None:
    damage(folder)
    with pytest.raises(DamagedError, match=told):
        verify(folder)
