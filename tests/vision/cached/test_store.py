"""Contents by key on disk: shared by processes, bounded, and never wrong in silence."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from nursery import Forked

from chiasm.vision.cached.store import Store

SIZE = 100
RECORD = 16 + 8 + SIZE


def key(number: int) -> bytes:
    return number.to_bytes(16, "big", signed=True)


def content(number: int) -> bytes:
    return bytes([number % 251] * SIZE)


Open = Callable[..., Store]


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def store(tmp_path: Path, told: list[str]) -> Open:
    def open_store(name: str = "own", most_bytes: int = 10**6) -> Store:
        return Store(tmp_path / "kept" / f"{name}.latents", SIZE, most_bytes, told.append)

    return open_store


def test_what_is_put_is_found_by_all_that_belongs_to_the_same(store: Open) -> None:
    one, other = store(), store()
    assert one.get(key(1)) is None
    one.put(key(1), content(1))
    other.put(key(2), content(2))
    for each in (one, other, store()):
        assert [each.get(key(n)) for n in (1, 2, 3)] == [content(1), content(2), None]
    assert store("another").get(key(1)) is None


FILL = """
import sys
from pathlib import Path
from chiasm.vision.cached.store import Store
store = Store(Path(sys.argv[1]), 100, 10**6, print)
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[2]), int(sys.argv[3])):
    key, content = number.to_bytes(16, "big"), bytes([number % 251] * 100)
    found = store.get(key)
    assert found in (None, content)
    if found is None:
        store.put(key, content)
"""


def test_two_processes_fill_at_once(store: Open, tmp_path: Path, told: list[str]) -> None:
    path = tmp_path / "kept" / "own.latents"
    running = [
        Forked(
            [sys.executable, "-c", FILL, str(path), *stretch],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for stretch in (("1", "900"), ("300", "1200"))
    ]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:  # both at once
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.communicate()[0] for process in running] == ["", ""]
    assert [process.returncode for process in running] == [0, 0]
    both = store()
    assert all(both.get(key(number)) == content(number) for number in range(1, 1200))
    assert path.stat().st_size == 1199 * RECORD  # none twice
    assert not told


def test_what_was_killed_while_writing_is_not_there(store: Open, tmp_path: Path) -> None:
    store().put(key(1), content(1))
    path = tmp_path / "kept" / "own.latents"
    path.write_bytes(path.read_bytes() + key(2) + content(2)[:50])
    after = store()
    assert after.get(key(2)) is None
    after.put(key(3), content(3))
    assert path.stat().st_size == 2 * RECORD
    assert [store().get(key(n)) for n in (1, 2, 3)] == [content(1), None, content(3)]


def test_the_folder_is_bounded(store: Open, tmp_path: Path, told: list[str]) -> None:
    """Files that were not opened for longest make room, a file's own contents never."""
    most = 10 * RECORD
    for age, name in enumerate(("new", "old", "oldest")):
        store(name, most).put(key(0), content(0))
        os.utime(tmp_path / "kept" / f"{name}.latents", (1000 - age, 1000 - age))
    own = store(most_bytes=most)
    for number, left in ((7, 4), (8, 3), (9, 2), (12, 1)):
        for new in range(1, number + 1):
            if own.get(key(new)) is None:
                own.put(key(new), content(new))
        files = sorted((tmp_path / "kept").glob("*.latents"))
        assert len(files) == left
        assert sum(path.stat().st_size for path in files) <= most
        assert ("oldest" in str(files)) == (left == 4)
    assert [number for number in range(1, 13) if own.get(key(number))] == [*range(1, 11)]
    assert len(told) == 1
    assert "are full" in told[0]
    assert "raise stream.kept_latents_megabytes, or delete" in told[0]


@pytest.mark.parametrize("at", [3, 20, 60], ids=["key", "check", "content"])
def test_damage_is_told_and_mended(store: Open, tmp_path: Path, told: list[str], at: int) -> None:
    for number in (1, 2, 3):
        store().put(key(number), content(number))
    reading = store()
    assert reading.get(key(2)) == content(2)
    path = tmp_path / "kept" / "own.latents"
    damaged = bytearray(path.read_bytes())
    damaged[RECORD + at] ^= 8
    path.write_bytes(damaged)
    assert reading.get(key(2)) is None
    assert reading.get(key(2)) is None
    assert told == [f"{path} is damaged: what cannot be read of it is made anew"]
    reading.put(key(2), content(2))
    assert all(store().get(key(number)) == content(number) for number in (1, 2, 3))
    assert path.stat().st_size == 3 * RECORD
