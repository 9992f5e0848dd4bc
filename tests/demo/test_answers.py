"""Answers for models with sound, and events as the page reads them."""

import base64
import io
from collections.abc import Iterator

import numpy as np
import pytest
import soundfile

from chiasm.demo.answers import Answers, note
from chiasm.demo.engine import Engine
from chiasm.errors import UserError
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import Ending, SamplingSettings
from chiasm.inference.sampler import Sampler
from chiasm.inference.tasks import synthesize


@pytest.fixture
def answers(heard: Pretrained) -> Iterator[Answers]:
    with Engine(heard, rows=2) as engine:
        yield Answers(engine, "heard")


def told(answers: Answers, task: str, body: dict) -> list[dict]:
    return [event for event in answers.run(task, body) if event is not None]


def sound_in(url: str) -> np.ndarray:
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(url.partition(",")[2])))
    assert rate == 8000
    return samples


def test_a_sound_is_made_and_heard(answers: Answers, heard: Pretrained) -> None:
    about = answers.about()
    assert about["reads"] == about["makes"] == ["image", "sound"]
    assert about["prompts"] == {}  # whose words the model has learned is not known
    body = {"words": "sound: a door closes", "stream": "sound", "steps": 6, "seed": 2}
    found = told(answers, "draw", body)
    [item] = [event for event in found if event["kind"] == "item"]
    assert not any("picture" in event for event in found if event["kind"] == "step")
    [expected] = synthesize(
        Sampler(heard), [body["words"]], settings=SamplingSettings(steps=6), seed=2
    )
    heard_T = expected.samples_CT[0].clip(-1, 1)
    np.testing.assert_allclose(sound_in(item["sound"]), heard_T, atol=2e-3)
    assert item["picture"].startswith("data:image/png")


def test_a_sound_is_asked_about(answers: Answers) -> None:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.random.default_rng(0).uniform(-1, 1, 4000), 8000, format="WAV")
    given = base64.b64encode(buffer.getvalue()).decode()
    found = told(answers, "ask", {"sound": given, "max_tokens": 4})
    assert found[-1] == {"kind": "over"}
    parts = [{"text": "what is heard:"}, {"sound": given}, {"text": "and then"}]
    found = told(answers, "go-on", {"parts": parts, "opens": "image", "steps": 2, "max_tokens": 3})
    assert [event["kind"] for event in found if event["kind"] == "item"] == ["item"]


def test_what_is_not_asked_to_its_end_is_cancelled(answers: Answers) -> None:
    for _ in range(4):  # more than there are rows, none of them ever read
        answers.run("draw", {"words": "a", "steps": 200}).close()
    assert told(answers, "write", {"prompt": "a", "max_tokens": 2})[-1] == {"kind": "over"}


def test_only_an_end_that_cuts_something_off_is_told(answers: Answers) -> None:
    alone = SamplingSettings(max_items=0, max_tokens=5)
    assert note(Ending.DOCUMENT, alone) == note(Ending.STOP, alone) == ""
    assert "see Go on" in note(Ending.MAX_ITEMS, alone)
    assert note(Ending.MAX_ITEMS, SamplingSettings(max_items=2)) == "cut off before item 3"
    [*_, ended, _] = told(answers, "write", {"prompt": "a", "max_tokens": 1, "top_k": 1})
    assert ended["why"] in ("cut off after 1 tokens", "", note(Ending.MAX_ITEMS, alone))
    [*_, ended, _] = told(answers, "draw", {"words": "a", "steps": 1})
    assert ended == {"kind": "ended", "sample": 0, "why": ""}


def test_a_prompt_beyond_the_context_is_refused(answers: Answers) -> None:
    with pytest.raises(UserError, match="context holds 200"):
        answers.run("write", {"prompt": "x" * 1000})
