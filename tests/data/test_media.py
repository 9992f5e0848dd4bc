from pathlib import Path

import pytest

from chiasm.data.media import AUDIO, IMAGE, MEDIA, VIDEO
from chiasm.data.tars import Tar


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


def test_one_folder_of_all_media_is_read_by_each_kind_as_its_own(tmp_path, made, films, sounds):
    for number in range(2):
        (tmp_path / f"seen-{number}.png").write_bytes(made.picture_file(number))
        films.write(tmp_path / f"film-{number}.mp4", first=100 * number)
        chirp = sounds.written(sounds.chirp(800, 8000, number), 8000)
        (tmp_path / f"heard-{number}.wav").write_bytes(chirp)
        for name in ("seen", "film", "heard"):
            (tmp_path / f"{name}-{number}.txt").write_text(f"{name} {number}")
    kinds = {
        "image_text": ("seen", {}),
        "video": ("film", {"task": "captioned_video"}),
        "audio_text": ("heard", {}),
    }
    for kind, (name, settings) in kinds.items():
        found = made.open(tmp_path, kind, held_out_fraction=0.5, **settings)
        own = [shown.partition("-")[0] for shown in found.facts.files]
        assert own == [name] * 2
        texts = {document.text for document in made.documents(found.train)}
        assert all(f": {name} " in text for text in texts)
    tar = tmp_path / "all.tar"
    members = [(path.name, path.read_bytes()) for path in sorted(tmp_path.glob("*-0.*"))]
    renamed = [(name.replace("-", "/"), content) for name, content in members]
    table = Tar(made.tar(tar, renamed))
    assert {medium.column for medium in MEDIA} < {*table.columns}
    cells = {medium.column: table.row(n).get(medium.column) for n, medium in _by_row(table)}
    assert all(isinstance(cell, bytes) for cell in cells.values())
    assert len(cells) == len(MEDIA)


def _by_row(table):
    """Numbers of rows and the one medium that each has."""
    for number in range(len(table)):
        [medium] = [each for each in MEDIA if each.column in table.row(number)]
        yield number, medium
