import io

import numpy as np
import pytest
from PIL import Image as PillowImage

from chiasm.data.reading import Unusable
from chiasm.data.survey import (
    BESIDE,
    Survey,
    draw,
    file_identity,
    hashed,
    survey,
    text_identity,
    told,
)
from chiasm.errors import UserError


class Rows(tuple):
    def name(self, number):
        return f"t.csv\0{number}".encode()


def surveyed(*rows):
    def read(number):
        if isinstance(rows[number], Exception):
            raise rows[number]
        return rows[number]

    return survey(Rows(rows), read)


def test_rows_that_cannot_be_used_are_counted_by_reason():
    half = UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed")
    found = surveyed((b"a",), Unusable("no text"), half, (b"b",), Unusable("no text"))
    assert found.skipped == {"no text": 2, "half of a letter (a surrogate)": 1}
    assert (found.identity_R >= 0).tolist() == [True, False, False, True, False]
    assert told(found.skipped) == "no text: 2, half of a letter (a surrogate): 1"
    assert found.unusable[0] == "no text: t.csv, row 1"
    with pytest.raises(UserError, match="a mistake in a column"):
        surveyed((b"a",), UserError("a mistake in a column"))


def test_the_first_rows_that_cannot_be_used_are_told_in_full():
    found = surveyed(
        Unusable("picture file empty", "a.png"), Unusable("cut off", "video b.mp4: cut off"),
        Unusable(BESIDE), *[Unusable("no text")] * 30,
    )  # fmt: skip
    assert found.unusable[:3] == (
        *("picture file empty: a.png", "video b.mp4: cut off", "no text: t.csv, row 3"),
    )
    assert len(found.unusable) == 20


def test_the_fingerprint_changes_with_everything_that_documents_are_made_of():
    rows = [(b"id", b"picture", b"text"), (b"id", b"other", b"text")]
    whole = surveyed(*rows).fingerprint
    assert surveyed(*rows).fingerprint == whole
    changed = [
        [(b"ie", b"picture", b"text"), rows[1]],
        [(b"id", b"pictur", b"etext"), rows[1]],
        [(b"id", b"picture", b"text", b""), rows[1]],
        [rows[0], Unusable("no text")],
        [rows[0], Unusable("no image")],
        rows[::-1],
        rows[:1],
    ]
    assert len({whole, *(surveyed(*other).fingerprint for other in changed)}) == len(changed) + 1


def test_identities_are_the_same_in_every_process():
    assert hashed(b"a picture") == 150643175764626  # Python's own hash is another one in each


def test_the_draws_of_many_are_even():
    identities = np.array([hashed(str(k).encode()) for k in range(4000)])
    draws = draw(identities)
    assert ((draws >= 0) & (draws < 1)).all()
    assert (draws < 0.05).mean() == pytest.approx(0.05, abs=0.015)


def test_pictures_are_known_by_their_content(tmp_path, made):
    (tmp_path / "a").write_bytes(made.picture_file(1))
    assert file_identity(tmp_path / "a") == file_identity(made.picture_file(1))
    for path, reason in (
        ("b", "missing"),
        ("a\0b", "missing"),
        (".", "cannot be read (Is a directory)"),
        ("a" * 300, "cannot be read (File name too long)"),
    ):
        with pytest.raises(Unusable) as caught:
            file_identity(tmp_path / path)
        assert str(caught.value) == f"picture file {reason}"
    with pytest.raises(Unusable, match=r"^picture file empty$"):
        file_identity(b"")


def test_pictures_that_differ_in_the_middle_alone_are_different():
    identities = set()
    for number in range(60):
        pixels = np.zeros((32, 32, 3), np.uint8)
        pixels[16, 16] = number
        file = io.BytesIO()
        PillowImage.fromarray(pixels).save(file, "BMP")
        identities.add(file_identity(file.getvalue()))
    assert len(identities) == 60


def test_texts_are_known_by_their_words():
    assert text_identity(" a  wall\n") == text_identity("a wall") != text_identity("a\nWall")


@pytest.mark.parametrize(("bad", "refused"), [(3, False), (4, True)])
def test_a_table_that_mostly_cannot_be_used_is_refused(bad, refused):
    found = Survey(np.zeros(4), {"no text": bad - 1, "no image": 1}, "")
    if not refused:
        found.refuse_absurd()
        return
    with pytest.raises(UserError, match=r"^path: 4 of 4 rows cannot be used \(no text: 3, no im"):
        found.refuse_absurd()
