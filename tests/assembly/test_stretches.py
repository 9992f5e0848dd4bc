"""Films with sound, and a stream of sounds that does not fit them."""

import pytest

from chiasm.assembly import check_feasible
from chiasm.errors import UserError
from chiasm.recipe import parse_recipe


def recipe(frames_per_second: float, **streams: object) -> dict:
    films = {"kind": "video", "path": "films", "sound": True}
    return {
        "name": "films",
        "streams": {"image": {"kind": "pixels", "image_pixels": 16}, **streams},
        "stream": {"sources": {"films": {**films, "frames_per_second": frames_per_second}}},
    }


def mel(seconds: float) -> dict:
    return {"kind": "mel", "rate": 16000, "seconds": seconds}


def test_an_item_lasts_as_long_as_a_frame() -> None:
    check_feasible(parse_recipe(recipe(4.0, sound=mel(0.25))))
    check_feasible(parse_recipe(recipe(3.07692, sound=mel(0.325))))


def test_another_length_is_refused_with_the_one_that_fits() -> None:
    for seconds in (0.1, 0.5):
        with pytest.raises(UserError, match=r"sources\.films\.frames_per_second.*seconds = 0\.25$"):
            check_feasible(parse_recipe(recipe(4.0, sound=mel(seconds))))
    match = r"set streams\.sound\.seconds = 0\.325 and frames_per_second = 3\.07692"
    with pytest.raises(UserError, match=match):
        check_feasible(parse_recipe(recipe(3.0, sound=mel(0.325))))


def test_sound_without_its_stream_is_refused_by_its_own_name() -> None:
    with pytest.raises(UserError, match=r"stream\.sources\.films\.sound.*\[streams\.sound\]"):
        check_feasible(parse_recipe(recipe(4.0)))
