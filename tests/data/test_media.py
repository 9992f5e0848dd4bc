from pathlib import Path

import pytest

from chiasm.data.media import AUDIO, IMAGE, MEDIA, VIDEO


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a/barn.JPG", [IMAGE]),
        ("barn.Mp4", [VIDEO]),
        ("bark.flac", [AUDIO]),
        ("either.webm", [VIDEO, AUDIO]),  # tells neither
        ("barn.seg.png", [IMAGE]),
        ("png", []),
        (".png", []),  # a hidden file
        ("barn.png/notes.txt", []),
    ],
)
def test_a_file_is_of_a_medium_by_its_suffix(name, found) -> None:
    assert [medium for medium in MEDIA if medium.is_of(Path(name))] == found
    assert [medium for medium in MEDIA if medium.is_of(name)] == found


def test_the_column_of_loose_files_is_found_without_a_setting() -> None:
    assert all(medium.column == medium.usual[0] for medium in MEDIA)
