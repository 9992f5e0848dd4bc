from dataclasses import replace

import numpy as np
import pytest

from chiasm.worlds.captions import caption, caption_facts, sound_caption
from chiasm.worlds.hearing import HeardSound, Hearing
from chiasm.worlds.maps import KINDS
from chiasm.worlds.world import World

pytestmark = pytest.mark.slow


def test_a_caption_names_what_is_seen_and_nothing_else(train: World):
    for number in train.clear_frames:
        view = train.views[number]
        words = caption(view, np.random.default_rng(number))
        for value in (view.wall, view.floor, view.ceiling, view.light):
            assert value in words
        seen = {one.name for one in view.objects}
        for kind in KINDS:
            assert kind.name in seen or kind.name not in words
        for one in view.objects:
            if f"a {one.name} " in words and sum(o.name == one.name for o in view.objects) == 1:
                where = "in the middle" if one.side == "middle" else f"on the {one.side}"
                assert f"a {one.name} {'near' if one.near else 'far'} {where}" in words
        assert 10 <= len(words.split()) <= 34


def test_objects_are_denied_only_where_none_shows(train: World):
    view = next(v for v in train.views if v.clear and not v.objects and not v.faint)
    rng = np.random.default_rng(0)
    denials = [caption(view, rng) for _ in range(5)]
    assert all("nothing" in words or "no objects" in words for words in denials)
    hint = replace(view, faint=("barrel",))
    assert not any(word in caption(hint, rng) for word in ("nothing", "no objects", "barrel"))


def test_there_are_several_phrasings(train: World):
    view = train.views[int(train.clear_frames[0])]
    assert len({caption(view, np.random.default_rng(seed)) for seed in range(40)}) >= 3


def test_facts_are_in_the_caption(train: World):
    for number in train.clear_frames[:100]:
        view = train.views[number]
        facts = caption_facts(view)
        words = caption(view, np.random.default_rng(1))
        assert set(facts) == {"wall", "floor", "ceiling", "light", "object"}
        assert facts["object"] == "none" or facts["object"] in words
        assert all(facts[name] in words for name in ("wall", "floor", "ceiling", "light"))


BELL = HeardSound("bell", "skull", "left", 2.0, True)
DRIP = HeardSound("drip", "barrel", "middle", 3.2, False)
HUM = HeardSound("hum", "blue torch", "right", 4.0, False)


def sound_captions(*sounds: HeardSound, faint: tuple[str, ...] = ()) -> set[str]:
    hearing = Hearing(sounds, faint)
    return {sound_caption(hearing, np.random.default_rng(seed)) for seed in range(20)}


def test_a_sound_is_told_with_its_side_and_distance():
    assert sound_captions(BELL) == {
        "a bell rings to the left, near.",
        "to the left, near, a bell rings.",
    }
    assert "a bell rings to the left, near; a drip falls in the middle, far." in sound_captions(
        BELL, DRIP, HUM
    )
    assert not any("hum" in words for words in sound_captions(BELL, DRIP, HUM))


def test_silence_is_told_only_where_nothing_is_heard():
    assert sound_captions() == {"nothing sounds here.", "all is quiet."}
    assert sound_captions(faint=("hum",)) == {""}
