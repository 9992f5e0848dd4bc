from dataclasses import replace

import pytest

from chiasm.batch.streams import Streams, StreamShape
from chiasm.errors import UserError

IMAGE = StreamShape("image", "vision", (2, 3), channels=4)
SEEN = StreamShape("seen", "vision", (4, 4), channels=9, context_of="image")
SERIES = StreamShape("series", "motion", (5,), channels=3)
CLIP = StreamShape("clip", "vision", (2, 3, 4), channels=6)
ALL = Streams((IMAGE, SERIES, SEEN, CLIP))


def test_modalities_are_numbered_as_they_first_occur():
    assert ALL.modalities == ("text", "vision", "motion")
    assert [ALL.modality_of(name) for name in ALL.names] == [2, 3, 2, 2]
    assert Streams((SERIES, IMAGE)).modality_of("image") == 3
    assert Streams().modalities == ("text",)


def test_one_is_found_by_its_name():
    assert ALL.names == ("image", "series", "seen", "clip")
    assert list(ALL) == [ALL[name] for name in ALL.names]
    assert len(ALL.shapes) == 4
    assert [shape.num_tokens for shape in ALL] == [6, 5, 16, 24]


def test_context_may_have_a_reader_of_its_own():
    assert ALL.reading("image", target=True) == IMAGE
    assert ALL.reading("image", target=False) == SEEN
    assert ALL.reading("series", target=False) == ALL.reading("series", target=True) == SERIES
    assert Streams((IMAGE,)).reading("image", target=False) == IMAGE
    assert ALL.reading("seen", target=False) == SEEN
    assert ALL.generated == ("image", "series", "clip")
    assert {name: ALL.roles(name) for name in ALL.names} == {
        "image": {True},
        "seen": {False},
        "series": {True, False},
        "clip": {True, False},
    }
    assert (IMAGE.marks, SEEN.marks, SERIES.marks) == ("image", "image", "series")


def test_pictures_add_nothing_to_the_keys_of_draws_and_others_their_names():
    assert IMAGE.key == ()
    assert len({shape.key for shape in ALL}) == 4


def test_a_target_of_what_only_reads_context_is_refused():
    with pytest.raises(
        UserError, match=r"stream 'seen', which only .* 'image'; give it .* 'image'"
    ):
        ALL.reading("seen", target=True)


@pytest.mark.parametrize("name", ["sound", ""])
def test_a_stream_that_is_not_there_is_told_with_those_that_are(name):
    for asked in (ALL.__getitem__, ALL.modality_of, lambda name: ALL.reading(name, True)):
        with pytest.raises(UserError, match=rf"no stream '{name}' here, only image, series, seen"):
            asked(name)
    with pytest.raises(UserError, match=r"only none.*\[streams.image\]"):
        Streams()["image"]


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ((IMAGE, SERIES, IMAGE), "two streams are called 'image'; rename one"),
        ((SERIES, SEEN), r"seen\.context_of = 'image' is no other stream; choose one of series$"),
        ((replace(SEEN, context_of="seen"),), r"'seen' is no other stream; choose one of none"),
        ((IMAGE, SEEN, replace(SERIES, context_of="seen")), r"'seen' is no other .* one of image$"),
        ((IMAGE, SEEN, replace(SEEN, name="again")), r"seen\.context_of = 'image' has a reader"),
    ],
)
def test_streams_that_cannot_be_together_are_refused(shapes, message):
    with pytest.raises(UserError, match=message):
        Streams(shapes)


@pytest.mark.parametrize("name", ["", "a.b", "../x", "a b", "values", "type", "training"])
def test_names_that_no_layers_can_have_are_refused(name):
    with pytest.raises(UserError, match=rf"'{name}' cannot name a stream: .*; choose a word"):
        Streams((replace(SERIES, name=name),))
