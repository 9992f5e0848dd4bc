from copy import copy

import numpy as np
import pytest

from chiasm.documents import Image, Sound, Text
from chiasm.evaluation.evaluate import evaluate
from chiasm.evaluation.next_sounds import LAST_SOUND, NextSounds, _prompt
from chiasm.evaluation.next_views import LAST, SHUFFLED
from chiasm.evaluation.run import Run


@pytest.fixture
def run(hearing_model, sounding, settings) -> Run:
    return Run(hearing_model, sounding, settings)


def test_sound_and_view_stand_beside_the_last_ones_and_other_actions(run):
    found = NextSounds().measure(run)
    sounds = [row for row in found.rows if "next sound" in row.name and row.baseline_name]
    views = [row for row in found.rows if row.name.startswith("PSNR")]
    assert [row.baseline_name for row in sounds] == [LAST_SOUND, "raw last sound", SHUFFLED]
    assert {row.baseline_name for row in views} == {LAST, SHUFFLED}
    assert {row.better for row in sounds} == {"lower"}
    assert {row.num_clusters for row in views} == {5}
    assert not found.skipped


def test_the_last_sound_is_the_one_before_the_action(run, sounding):
    """Where nothing changes it is the truth."""
    source = sounding.held_out["steps"]
    still = copy(source)
    still.sound = lambda frame: source.sound(frame - frame % 6)
    rows = NextSounds().measure_walks(run, sounding.train["steps"], still).rows
    assert [row.baseline for row in rows if row.baseline_name == "raw last sound"] == [0]


def test_a_prompt_is_the_beginning_of_a_document(sounding):
    source = sounding.held_out["steps"]
    document = source[0]
    frames = np.stack([source.picture(n).pixels() for n in range(2)])
    heard = [source.sound(n) for n in range(2)]
    own = _prompt(frames, heard, [source.action(0, 1), source.action(1, 2)])
    assert [type(span) for span in own] == [Image, Sound, Text] * 2
    for mine, theirs in zip(own, document.spans, strict=False):
        assert getattr(mine, "target", None) == getattr(theirs, "target", None)


def test_the_report_has_sections_of_sounds_where_there_are_some(
    pretrained, material, hearing_model, sounding, settings
):
    sections = {"hearing", "picture to sound", "sound to picture", "next sound"}
    heard = evaluate(hearing_model, sounding, settings, sections=sections)
    assert {row.section for row in heard.rows} == sections
    assert not heard.skipped
    silent = evaluate(pretrained, material, settings, sections=sections)
    assert not silent.rows
    assert not silent.skipped
