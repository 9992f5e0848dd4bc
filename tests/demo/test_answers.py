"""Answers for models with sound, and events as the page reads them."""

import base64
import io
from collections.abc import Iterator

import numpy as np
import pytest
import soundfile

from chiasm.demo.answers import Answers
from chiasm.demo.engine import Engine
from chiasm.errors import UserError
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import SamplingSettings
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


def test_a_prompt_beyond_the_context_is_refused(answers: Answers) -> None:
    with pytest.raises(UserError, match="context holds 200"):
        answers.run("write", {"prompt": "x" * 1000})
