from pathlib import Path

import pytest

from chiasm.data.frames import numbered_frames
from chiasm.errors import UserError


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


@pytest.mark.parametrize(
    "names",
    [
        ("0.jpg", "1.JPG", "2.PNG"),
        ("000000.png", "000001.jpeg", "2.jpg"),
        ("image_2/000000.png", "image_2/000001.png", "image_2/000002.png"),
        ("color/0.jpg", "color/1.jpg", "color/2.jpg", "depth/0.png"),
        tuple(f"frame-{k:06}.{kind}.png" for k in range(3) for kind in ("color", "depth")),
    ],
)
def test_frames_are_found_by_their_number(tmp_path: Path, names: tuple[str, ...]):
    odd = ("._0.jpg", ".ipynb_checkpoints/1.jpg", "__MACOSX/2.jpg", "cover.jpg", "3.txt")
    found = numbered_frames(touch(tmp_path, *names, *odd))
    assert sorted(found) == [0, 1, 2]
    assert set(found.values()) <= set(names)


def test_two_files_of_one_number_are_refused(tmp_path: Path):
    with pytest.raises(UserError, match=r"1\.jpg and 1\.png are both frame 1; take one"):
        numbered_frames(touch(tmp_path, "0.jpg", "1.jpg", "1.png"))
